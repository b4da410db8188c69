"""A report's numbers as Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from metarl_cli.reports.benchmark.summary import PanelSummary, Reached, TableRow
from metarl_cli.reports.scores.intervals import Estimate

NOT_MEASURED = "not measured"
HEADINGS = (
    "environment",
    "method",
    "seeds",
    "return, best on validation",
    "normalised",
    "return, final",
    "steps to threshold",
    "time to threshold",
    "steps",
    "time",
)
CSV_COLUMNS = (
    "env",
    "method",
    "run",
    "seed",
    "adaptations",
    "episodes_spent",
    "online",
    "online_low",
    "online_high",
    "probe",
    "success",
    "tasks",
    "trained_env_steps",
    "wall_s",
    "commit",
)


def markdown(summaries: Sequence[PanelSummary]) -> str:
    """Return tables of methods, and of the chances that one beats another."""
    lines = [_line(HEADINGS), _line(["---"] * len(HEADINGS))]
    lines += [_line(cells(row)) for summary in summaries for row in summary.rows]
    lines += ["", "Return: interquartile mean over seeds and tasks in the episode after all"]
    lines[-1] += " adaptations [95 % interval and what it is over]."
    for summary in summaries:
        lines += ["", f"## {_plain(summary.panel.env)}", "", *_facts(summary)]
        if len(summary.panel.methods) > 1:
            lines += ["", *_improvements(summary)]
    return "\n".join(lines) + "\n"


def cells(row: TableRow) -> list[str]:
    """Return a method's line, in the order of `HEADINGS`."""
    final = NOT_MEASURED if row.final is None else _short(row.final)
    return [
        row.env,
        row.method,
        str(row.seeds),
        interval_in_words(row.estimate),
        "" if row.normalised is None else interval_in_words(row.normalised),
        final,
        *_when(row.reached, row.seeds),
        "" if row.env_steps is None else f"{row.env_steps:.3g}",
        "" if row.wall_s is None else _clock(row.wall_s),
    ]


def long_csv(summaries: Sequence[PanelSummary]) -> str:
    """Return a row per run and number of adaptations, means over tasks."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for summary in summaries:
        writer.writerows(_csv_rows(summary))
    return file.getvalue()


def interval_in_words(estimate: Estimate) -> str:
    """Return `-2.76 [-3.03, -2.49]`; one that is not over seeds and tasks says so."""
    value = _short(estimate.value)
    if estimate.low is None or estimate.high is None:
        return f"{value} [no interval]"
    over = "" if estimate.over == "seeds and tasks" else f" over {estimate.over} only"
    return f"{value} [{_short(estimate.low)}, {_short(estimate.high)}]{over}"


def _csv_rows(summary: PanelSummary) -> Iterator[list[Any]]:
    for method in summary.panel.methods:
        for run in method.runs:
            evaluation = run.evaluation
            for row in evaluation.episodes:
                yield [
                    _cell(summary.panel.env),
                    _cell(method.label),
                    _cell(run.name),
                    run.seed,
                    row.index,
                    row.index * evaluation.envs_per_task,
                    row.online.mean,
                    row.online.low,
                    row.online.high,
                    None if row.probe is None else row.probe.mean,
                    row.success,
                    evaluation.num_tasks,
                    evaluation.env_steps,
                    run.identity.wall_s,
                    _cell(run.identity.commit or ""),
                ]


def _facts(summary: PanelSummary) -> Iterator[str]:
    if (normaliser := summary.panel.normaliser) is not None:
        yield f"- normalised so that {normaliser.words}"
    if summary.threshold is not None:
        yield f"- threshold: a validation score of {_short(summary.threshold)}"
    for note in summary.notes:
        yield f"- {_plain(note)}"


def _improvements(summary: PanelSummary) -> Iterator[str]:
    labels = [method.label for method in summary.panel.methods]
    yield _line(["chance that a run of the line beats one of the column", *labels])
    yield _line(["---"] * (len(labels) + 1))
    for one in labels:
        chances = ["" if one == x else f"{summary.improvements[one, x]:.2f}" for x in labels]
        yield _line([one, *chances])


def _when(reached: Reached | None, seeds: int) -> tuple[str, str]:
    if reached is None:
        return NOT_MEASURED, NOT_MEASURED
    share = "" if reached.num == seeds else f" ({reached.num} of {seeds} seeds)"
    if reached.env_steps is None:
        return f"never{share}", "never"
    wall = NOT_MEASURED if reached.wall_s is None else _clock(reached.wall_s)
    return f"{reached.env_steps:.3g}{share}", wall


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is: names of runs may be anything."""
    text = " ".join(text.split())
    for sign, escaped in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("`", "\\`"),
    ):
        text = text.replace(sign, escaped)
    return text.replace("](", "]\\(").replace("*", "\\*")


def _cell(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _short(value: float) -> str:
    return f"{value:.{0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2}f}"


def _clock(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else (f"{minutes / 60:.1f} h")
    )
