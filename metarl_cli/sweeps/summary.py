"""What a sweep has found: a line for each setting over its seeds, and the jobs that failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from metarl_cli.core.errors import UserError
from metarl_cli.runtime.evaluation import Evaluation
from metarl_cli.sweeps.jobs import Outcome

LOG_TAIL_BYTES = 4096
LEVEL = 0.95


@dataclass(frozen=True)
class Setting:
    """The runs that differ in nothing but their seeds."""

    name: str
    scores: list[float]  # return on test tasks after all adaptations, a number per run
    successes: list[float]  # share of test tasks solved after them, where that is defined

    @property
    def mean(self) -> float:
        """The mean score over seeds."""
        return sum(self.scores) / len(self.scores)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; one run has none."""
        return t_interval(self.scores) if len(self.scores) > 1 else None


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of the mean of independent values; seeds are too few to resample them."""
    from scipy.special import stdtrit  # 0.2 s, needed once at the end

    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((x - mean) ** 2 for x in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * deviation / math.sqrt(n)
    return mean - half, mean + half


def settings_of(outcomes: Iterable[Outcome], names: Mapping[int, str]) -> list[Setting]:
    """Gather the results of finished jobs by setting, in the order of the jobs.

    Args:
        outcomes: of all jobs.
        names: of the setting of each job, by its number.
    """
    found: dict[str, Setting] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.job.number):
        if evaluation := _evaluation(outcome):
            name = names[outcome.job.number] or f"{evaluation.algo} on {evaluation.env}"
            setting = found.setdefault(name, Setting(name, [], []))
            setting.scores.append(evaluation.last.online.mean)
            if evaluation.last.success is not None:
                setting.successes.append(evaluation.last.success)
    return list(found.values())


def settings_table(settings: Sequence[Setting]) -> Table:
    """Lay out a line for each setting: its runs, the mean and the interval over them."""
    table = Table(
        caption="return on test tasks after all adaptations: mean over runs [95 % t interval]",
    )
    table.add_column("setting", overflow="fold")
    for heading in ("runs", "return", *(["success"] if _all_succeed(settings) else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for setting in settings:
        cells = [str(len(setting.scores)), _score(setting)]
        if _all_succeed(settings):
            cells.append(f"{sum(setting.successes) / len(setting.successes):.0%}")
        table.add_row(Text(setting.name), *cells)
    return table


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line for each job that has not finished: which, how it ended, why, where to look."""
    unfinished = [outcome for outcome in outcomes if not outcome.is_good]
    return [_failure(outcome) for outcome in sorted(unfinished, key=lambda o: o.job.number)]


def reason(log: Path) -> str:
    """Return the last line that a job has written."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip() and not line.startswith("--- attempt")]
    return said[-1] if said else ""


def ending(outcome: Outcome) -> str:
    """Say how a job ended: `failed (exit code 1, 3 attempts)`."""
    state, code = outcome.state.replace("_", " "), outcome.exit_code
    if not code:
        return state
    facts = [f"killed by signal {-code}" if code < 0 else f"exit code {code}"]
    facts += [f"{outcome.attempts} attempts"] * (outcome.attempts > 1)
    return f"{state} ({', '.join(facts)})"


def _failure(outcome: Outcome) -> str:
    job, why = outcome.job, reason(outcome.log)
    name = " ".join(filter(None, (f"#{job.number}", job.label)))
    text = f"{name}: {ending(outcome)}"
    text += f": {why.removeprefix('metarl: ')}" if why else ""
    return f"{text}; see {outcome.log}" if outcome.attempts else text


def _evaluation(outcome: Outcome) -> Evaluation | None:
    if not outcome.is_good:
        return None
    try:
        return outcome.job.record.evaluation()
    except UserError:  # of a command that measures nothing
        return None


def _all_succeed(settings: Sequence[Setting]) -> bool:
    return all(setting.successes for setting in settings)


def _score(setting: Setting) -> str:
    digits = 1 if abs(setting.mean) >= 10 else 2
    if setting.interval is None:
        return f"{setting.mean:.{digits}f}"
    low, high = setting.interval
    return f"{setting.mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
