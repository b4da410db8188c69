"""A report's numbers as CSV, in full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from typing import Any

from metarl_cli.reports.benchmark.summary import PanelSummary, TableRow
from metarl_cli.reports.scores.intervals import Estimate

METHOD_COLUMNS = (
    "env",
    "method",
    "seeds",
    "tasks",
    "adaptations",
    "iqm",
    "iqm_low",
    "iqm_high",
    "interval_over",
    "mean",
    "median",
    "normalised",
    "normalised_low",
    "normalised_high",
    "optimality_gap",
    "final",
    "final_low",
    "final_high",
    "validation_best",
    "validation_last",
    "seeds_at_threshold",
    "steps_to_threshold",
    "seconds_to_threshold",
    "env_steps",
    "wall_s",
)
EPISODE_COLUMNS = (
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


def methods_csv(summaries: Sequence[PanelSummary]) -> str:
    """Return a row per environment and method: all that the table has, in full precision."""
    rows = (row for summary in summaries for row in summary.rows)
    return _csv(METHOD_COLUMNS, map(_method_row, rows))


def episodes_csv(summaries: Sequence[PanelSummary]) -> str:
    """Return a row per run and number of adaptations, means over tasks."""
    return _csv(EPISODE_COLUMNS, (row for summary in summaries for row in _episode_rows(summary)))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(x) if isinstance(x, str) else x for x in row] for row in rows)
    return file.getvalue()


def _method_row(row: TableRow) -> list[Any]:
    return [
        row.env,
        row.method,
        row.seeds,
        row.tasks,
        row.adaptations,
        *_ends(row.estimate),
        row.estimate.over,
        row.mean,
        row.median,
        *_ends(row.normalised),
        row.gap,
        *_ends(row.final),
        row.validation_best,
        row.validation_last,
        *((None, None, None) if row.reached is None else astuple(row.reached)),
        row.env_steps,
        row.wall_s,
    ]


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    if estimate is None:
        return None, None, None
    return estimate.value, estimate.low, estimate.high


def _episode_rows(summary: PanelSummary) -> Iterator[list[Any]]:
    for method in summary.panel.methods:
        for run in method.runs:
            evaluation = run.evaluation
            for row in evaluation.episodes:
                yield [
                    summary.panel.env,
                    method.label,
                    run.name,
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
                    run.identity.commit,
                ]


def _cell(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
