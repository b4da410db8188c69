"""`metarl reproduce`: rows of the results, trained or at least measured again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from metarl_cli.commands.parts.retyped import words_of
from metarl_cli.config.arguments import as_value
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import suggest
from metarl_cli.loggers.notices import tell
from metarl_cli.reports.scores.agreement import Change, changes, verdict
from metarl_cli.runtime.evaluation import Interval
from metarl_cli.runtime.find_runs import find_runs
from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.runtime.signals import Interruption, exit_code
from metarl_cli.sweeps.jobs import Job, Limits
from metarl_cli.sweeps.pool import run_jobs
from metarl_cli.sweeps.summary import failures
from metarl_cli.sweeps.table import SweepDisplay

NO_LOGGERS = "logger=[]"
PLAIN_WIDTH = 120  # columns without a terminal


def run(cfg: DictConfig) -> int:
    """Repeat rows; exit code 1 if one is not inside its intervals or could not be repeated."""
    if not (cfg.rows or cfg.check):
        raise UserError("rows: which ones to train again? check=true measures all that are kept")
    kept = chosen(Path(cfg.reference), cfg.rows)
    jobs = list(_measurements(kept, cfg) if cfg.check else _trainings(kept, cfg))
    limits = Limits(**OmegaConf.to_container(cfg.jobs))  # type: ignore[arg-type]
    tell(f"{len(jobs)} jobs, {min(limits.at_once, len(jobs))} at a time, in {cfg.to}")
    with Interruption() as interruption, SweepDisplay() as display:
        outcomes = run_jobs(jobs, limits, display, interruption)
    done = sorted((o.job for o in outcomes if o.is_good), key=lambda job: job.number)
    found = {job.label: _compared(kept[_row(job)], job.record) for job in done}
    _console().print(agreement_table(found))
    for line in failures(outcomes):
        tell(line)
    if interruption.signum is not None:
        return exit_code(interruption.signum)
    inside = [verdict(row) == "inside" for row in found.values()]
    tell(f"{sum(inside)} of {len(jobs)} are inside their intervals")
    return int(sum(inside) < len(jobs))


def chosen(reference: Path, rows: Sequence[str]) -> dict[str, RunRecord]:
    """Return the kept runs with these names, or all, by name.

    Raises:
        UserError: there is no such run, or none at all.
    """
    kept = {run.folder.name: run for run in find_runs(reference)}
    if not kept:
        raise UserError(f"reference: there are no runs in {reference}")
    for row in rows:
        if row not in kept:
            hint = suggest(row, kept) or " `metarl list runs` shows them."
            raise UserError(f"rows: there is no {row} in {reference}.{hint}")
    return {row: kept[row] for row in rows or sorted(kept)}


def agreement_table(found: dict[str, list[Change]]) -> Table:
    """Show a line for each row: returns before, after one and after all adaptations."""
    table = Table(title="online return before / after one / after all adaptations")
    for heading in ("row", "then", "now", ""):
        table.add_column(heading, overflow="fold")
    for name, row in found.items():
        then, now = ([getattr(x, side) for x in row] for side in ("then", "now"))
        table.add_row(name, _means(then), _means(now), verdict(row))
    return table


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)


def _measurements(kept: dict[str, RunRecord], cfg: DictConfig) -> Iterator[Job]:
    """The meta-test of each kept checkpoint."""
    for number, (row, run) in enumerate(kept.items()):
        folder = Path(cfg.to) / "check" / row
        words = [f"checkpoint={as_value(str(run.folder))}", NO_LOGGERS, *_other_tasks(cfg)]
        words.append(f"output={as_value(str(folder / 'eval.json'))}")
        yield Job(number, tuple(words), folder, row, "eval")


def _trainings(kept: dict[str, RunRecord], cfg: DictConfig) -> Iterator[Job]:
    """Each row from its beginning, with its seed or with others."""
    runs = [
        (row, run, seed) for row, run in kept.items() for seed in cfg.seeds or [run.identity.seed]
    ]
    for number, (row, run, seed) in enumerate(runs):
        words = [word for word in words_of(run) if not word.startswith("seed=")]
        words += [f"seed={seed}", NO_LOGGERS, *_other_tasks(cfg)]
        yield Job(number, tuple(words), Path(cfg.to) / row / f"seed-{seed}", f"{row} seed={seed}")


def _other_tasks(cfg: DictConfig) -> list[str]:
    return [] if cfg.test_seed is None else [f"env.tasks.test_seed={cfg.test_seed}"]


def _row(job: Job) -> str:
    return job.label.split(" ")[0]


def _compared(kept: RunRecord, repeated: RunRecord) -> list[Change]:
    return changes(kept.evaluation(), repeated.evaluation())


def _means(intervals: Sequence[Interval]) -> str:
    return " / ".join(f"{x.mean:.2f}" if abs(x.mean) < 10 else f"{x.mean:.1f}" for x in intervals)
