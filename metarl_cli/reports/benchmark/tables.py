"""A report's numbers as Markdown; its page has the same cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metarl_cli.reports.benchmark.runs import counted
from metarl_cli.reports.benchmark.summary import PanelSummary, Reached, TableRow
from metarl_cli.reports.scores.intervals import Estimate

NOT_MEASURED, NO_ANCHOR = "not measured", "no anchor"
HEADINGS = (
    "environment",
    "method",
    "seeds",
    "return, best on validation",
    "normalised",
    "return, final",
    "validation, best / last",
    "steps to threshold",
    "time to threshold",
    "steps",
    "time",
)


def markdown(summaries: Sequence[PanelSummary]) -> str:
    """Return tables of methods, and of the chances that one beats another."""
    lines = [*_table(HEADINGS, [cells(row) for summary in summaries for row in summary.rows]), ""]
    lines.append(
        "Return: interquartile mean over seeds and tasks in the episode after all adaptations [95 %"
        " interval, over seeds and tasks unless it says otherwise]."
    )
    if len(summaries) > 1:
        lines += [
            "",
            "## Normalised return, method by environment",
            "",
            *_table(*matrix(summaries)),
        ]
    for summary in summaries:
        lines += ["", f"## {_plain(summary.panel.env)}", "", *_facts(summary)]
        if len(summary.panel.methods) > 1:
            lines += ["", *_improvements(summary)]
    return "\n".join(lines) + "\n"


def cells(row: TableRow) -> list[str]:
    """Return a method's line, in the order of `HEADINGS`."""
    best, last = row.validation_best, row.validation_last
    return [
        row.env,
        row.method,
        str(row.seeds),
        interval_in_words(row.estimate),
        NO_ANCHOR if row.normalised is None else interval_in_words(row.normalised),
        NOT_MEASURED if row.final is None else interval_in_words(row.final),
        NOT_MEASURED if best is None or last is None else f"{_short(best)} / {_short(last)}",
        *_when(row.reached, row.seeds),
        "" if row.env_steps is None else f"{row.env_steps:.3g}",
        "" if row.wall_s is None else _clock(row.wall_s),
    ]


def matrix(summaries: Sequence[PanelSummary]) -> tuple[list[str], list[list[str]]]:
    """Return headings and lines of the normalised returns, a method in each line."""
    found = {(row.method, row.env): row for summary in summaries for row in summary.rows}
    envs = [summary.panel.env for summary in summaries]
    lines = [
        [method, *(_normalised(found.get((method, env))) for env in envs)]
        for method in dict.fromkeys(method for method, _ in found)
    ]
    return ["method", *envs], lines


def interval_in_words(estimate: Estimate) -> str:
    """Return `-2.76 [-3.03, -2.49]`; one that is not over seeds and tasks says so."""
    value = _short(estimate.value)
    if estimate.low is None or estimate.high is None:
        return f"{value} [no interval]"
    over = "" if estimate.over == "seeds and tasks" else f" over {estimate.over} only"
    return f"{value} [{_short(estimate.low)}, {_short(estimate.high)}]{over}"


def _normalised(row: TableRow | None) -> str:
    if row is None:
        return ""
    return NO_ANCHOR if row.normalised is None else interval_in_words(row.normalised)


def _facts(summary: PanelSummary) -> Iterator[str]:
    if (normaliser := summary.panel.normaliser) is not None:
        yield f"- normalised so that {normaliser.words}"
    if summary.threshold is not None:
        yield f"- threshold: a validation score of {_short(summary.threshold)}"
    for note in summary.notes:
        yield f"- {_plain(note)}"


def _improvements(summary: PanelSummary) -> list[str]:
    labels = [method.label for method in summary.panel.methods]
    chances = summary.improvements
    lines = [
        [one, *("" if one == x else f"{chances[one, x]:.2f}" for x in labels)] for one in labels
    ]
    return _table(["chance that a run of the line beats one of the column", *labels], lines)


def _when(reached: Reached | None, seeds: int) -> tuple[str, str]:
    if reached is None:
        return NOT_MEASURED, NOT_MEASURED
    share = "" if reached.num == seeds else f" ({reached.num} of {counted(seeds, 'seed')})"
    if reached.env_steps is None:
        return f"never{share}", "never"
    wall = NOT_MEASURED if reached.wall_s is None else _clock(reached.wall_s)
    return f"{reached.env_steps:.3g}{share}", wall


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(headings), _line(["---"] * len(headings)), *map(_line, rows)]


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
