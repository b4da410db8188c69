"""A report as one self-contained HTML page: no other file, no other host.

What comes from runs (names, settings, notes) is data: it travels as JSON in which no tag can begin,
and the page's script puts it into text nodes only. The page's policy lets no other script run than
the two that were written into it, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from metarl_cli.core.files import read_regular
from metarl_cli.core.version import VERSION
from metarl_cli.reports.benchmark.runs import MeasuredRun, Method, value_text
from metarl_cli.reports.benchmark.summary import Band, PanelSummary, TableRow
from metarl_cli.reports.benchmark.tables import HEADINGS, cells, matrix

MOST_FILM_BYTES = 700_000  # of all films together: plotly takes 4.8 of the page's 6 MB
MOST_TEXT = 400  # characters of one setting
TYPES = {".gif": "image/gif", ".mp4": "video/mp4"}


def has_plotting() -> bool:
    """Whether the extra `report` is installed, which brings the plots of the page."""
    return find_spec("plotly") is not None


def page(summaries: Sequence[PanelSummary]) -> str:
    """Return the HTML of a report."""
    plotly = (files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")
    own = files("metarl_cli.reports.benchmark")
    script = (own / "page.js").read_text("utf-8")
    parts = {
        "policy": _policy([plotly, script]),
        "style": (own / "page.css").read_text("utf-8"),
        "data": _json(_content(summaries)),
        "plotly": plotly,
        "script": script,
    }
    pieces = (own / "page.html").read_text("utf-8").split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def _policy(scripts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    sources = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline';"
        " img-src data: blob:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _json(content: Any) -> str:
    """Return JSON that no HTML parser takes for a tag."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _content(summaries: Sequence[PanelSummary]) -> dict[str, Any]:
    labels = dict.fromkeys(m.label for summary in summaries for m in summary.panel.methods)
    return {
        "version": VERSION,
        "headings": HEADINGS,
        "methods": list(labels),
        "rows": [
            {"cells": cells(row), "keys": _sort_keys(row)}
            for summary in summaries
            for row in summary.rows
        ],
        "matrix": matrix(summaries) if len(summaries) > 1 else None,
        "panels": [_panel(summary) for summary in summaries],
        "runs": _runs(summaries),
    }


def _panel(summary: PanelSummary) -> dict[str, Any]:
    panel = summary.panel
    labels = [method.label for method in panel.methods]
    return {
        "env": panel.env,
        "tasks": panel.methods[0].runs[0].evaluation.in_words(),
        "units": panel.normaliser.words if panel.normaliser else None,
        "notes": summary.notes,
        "threshold": summary.threshold,
        "anchors": [[name, _number(value)] for name, value in summary.anchor_levels],
        "labels": labels,
        "seeds": [len(method.runs) for method in panel.methods],
        "learning": {label: _band(band) for label, band in summary.learning.items()},
        "adaptation": {label: _band(band) for label, band in summary.adaptation.items()},
        "levels": _numbers(summary.levels),
        "profiles": {label: _numbers(x) for label, x in summary.profiles.items()},
        "improvements": [
            [None if one == x else summary.improvements[one, x] for x in labels] for one in labels
        ],
    }


def _runs(summaries: Sequence[PanelSummary]) -> list[dict[str, Any]]:
    room, runs = MOST_FILM_BYTES, []
    pairs = [(s, m) for s in summaries for m in s.panel.methods]
    for summary, method in pairs:
        for index, run in enumerate(method.runs):
            film, words = _film(run, room) if index == 0 else (None, "")
            room -= len(film or "")
            runs.append(_run(run, summary, method) | {"film": film, "film_words": words})
    return runs


def _run(run: MeasuredRun, summary: PanelSummary, method: Method) -> dict[str, Any]:
    known = run.identity
    seed = "" if run.seed is None else f", seed {run.seed}"
    facts = {
        "folder": run.path,
        "status": known.status,
        "command": " ".join(known.command or []) or None,
        "commit": known.commit,
        "trained for": known.env_steps,
        "tested at": run.evaluation.env_steps,
        "seconds": None if known.wall_s is None else round(known.wall_s),
    }
    return {
        "name": run.name,
        "title": f"{run.name} ({method.label}{seed})",
        "env": summary.panel.env,
        "method": method.label,
        "seed": run.seed,
        "score": _number(run.evaluation.last.online.mean),
        "facts": {key: str(value) for key, value in facts.items() if value is not None},
        "settings": {k: value_text(x)[:MOST_TEXT] for k, x in (run.settings or {}).items()},
    }


def _film(run: MeasuredRun, room: int) -> tuple[str | None, str]:
    """Return a film as a `data:` address if there is room, and what to say of it."""
    if run.film is None or run.film.suffix not in TYPES:
        return None, ""
    if run.film.stat().st_size * 4 / 3 > room:
        return None, f"not embedded for its size: {run.film}"
    content = base64.b64encode(read_regular(run.film, most_bytes=MOST_FILM_BYTES)).decode()
    return f"data:{TYPES[run.film.suffix]};base64,{content}", "first test task, best checkpoint"


def _sort_keys(row: TableRow) -> list[float | str | None]:
    """What the columns are sorted by, in the order of `HEADINGS`."""
    reached = row.reached
    return [
        row.env,
        row.method,
        row.seeds,
        _number(row.estimate.value),
        None if row.normalised is None else _number(row.normalised.value),
        None if row.final is None else _number(row.final.value),
        None if row.validation_best is None else _number(row.validation_best),
        None if reached is None else reached.env_steps,
        None if reached is None else reached.wall_s,
        row.env_steps,
        row.wall_s,
    ]


def _band(band: Band) -> dict[str, Any]:
    estimates = band.estimates
    return {
        "x": _numbers(band.x),
        "y": _numbers([e.value for e in estimates]),
        "low": [None if e.low is None else _number(e.low) for e in estimates],
        "high": [None if e.high is None else _number(e.high) for e in estimates],
        "over": estimates[-1].over,
    }


def _numbers(values: Any) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """Return six digits of it; JSON has no infinity."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
