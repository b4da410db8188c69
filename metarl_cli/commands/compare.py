"""`metarl compare`: whether a second set of runs is worse than a first one, task by task."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from metarl_cli.commands.parts.benchmark_runs import difference, read_runs
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.files import write_json
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.benchmark.runs import MeasuredRun, Method, counted, different_settings
from metarl_cli.reports.scores.differences import Difference, paired_difference
from metarl_cli.reports.scores.intervals import FEWEST_SEEDS

MOST_TASKS = 10  # whose differences are printed, the largest losses first


def run(cfg: DictConfig) -> int:
    """Print the difference and return 1 if the second runs lose more than the bar for certain."""
    if not cfg.first or not cfg.second:
        raise UserError("compare takes two sets of runs: metarl compare A B")
    first, second = _seeds(list(cfg.first), "A"), _seeds(list(cfg.second), "B")
    if (reason := difference(first.runs[0], second.runs[0])) is not None:
        raise UserError(f"A and B cannot be compared: {reason}")
    found = paired_difference(first.scores, second.scores)
    most = cfg.bar * abs(float(first.scores.mean()))
    worse = found.high < -most
    _tell(first, second, found, most)
    if cfg.output is not None:
        path = Path(cfg.output)
        with writing_into(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, _facts(first, second, found, most))
    return int(worse)


def _seeds(words: list[str], side: str) -> Method:
    """Read the runs of one side, which must be seeds of one setting."""
    runs = read_runs(words)
    for other in runs[1:]:
        if (reason := difference(runs[0], other)) is not None:
            raise UserError(f"{side} mixes task distributions: {reason}")
        if keys := _other_settings(runs[0], other):
            raise UserError(f"{side} mixes settings, not only seeds: {keys[0]} differs")
    seeds = Counter(run.seed for run in runs if run.seed is not None)
    if twice := [seed for seed, num in seeds.items() if num > 1]:
        raise UserError(f"{side} has seed {twice[0]} twice: these runs are not independent")
    if len(runs) < FEWEST_SEEDS:
        raise UserError(
            f"{side} has {counted(len(runs), 'run')}: too few seeds to tell a loss from"
            f" luck, at least {FEWEST_SEEDS} are needed"
        )
    return Method(side, runs)


def _other_settings(one: MeasuredRun, other: MeasuredRun) -> list[str]:
    if one.settings is None or other.settings is None:
        return []
    return different_settings([one.method_settings, other.method_settings])


def _tell(first: Method, second: Method, found: Difference, most: float) -> None:
    console = LastingConsole(highlight=False)
    evaluation = first.runs[0].evaluation
    title = f"{evaluation.env}, {evaluation.in_words()}: return after all adaptations"
    console.print(title, soft_wrap=True, markup=False)
    table = Table()
    for heading in ("", "runs", "mean"):
        table.add_column(heading, justify="right")
    for method in (first, second):
        table.add_row(method.label, str(len(method.runs)), f"{method.scores.mean():.4g}")
    console.print(table)
    console.print(
        f"B - A: {found.value:+.4g} [{found.low:+.4g}, {found.high:+.4g}], 95 % interval over"
        f" {found.over}; a run of B beats one of A in a task with chance {found.improvement:.2f}",
        soft_wrap=True,
        markup=False,
    )
    order = found.per_task.argsort()[:MOST_TASKS]
    losses = ", ".join(f"{i}: {found.per_task[i]:+.3g}" for i in order)
    console.print(f"tasks, the largest losses first: {losses}", soft_wrap=True, markup=False)
    verdict = "B is worse than A" if found.high < -most else "B is not shown to be worse than A"
    console.print(f"{verdict}{f' by more than {most:.4g}' if most else ''}", markup=False)


def _facts(first: Method, second: Method, found: Difference, most: float) -> dict[str, Any]:
    return {
        "env": first.runs[0].evaluation.env,
        "first": [str(run.path) for run in first.runs],
        "second": [str(run.path) for run in second.runs],
        "first_mean": float(first.scores.mean()),
        "second_mean": float(second.scores.mean()),
        **asdict(found),
        "per_task": found.per_task.tolist(),
        "most_loss": most,
        "worse": bool(found.high < -most),
    }
