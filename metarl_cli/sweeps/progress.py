"""How far the run of a job is, from what it writes; cheap enough to be asked every second."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from metarl_cli.core.errors import UserError
from metarl_cli.loggers.jsonl import Row, RowFollower
from metarl_cli.runtime.run_record import RunRecord

WINDOW = 20  # rows over which the rate is measured


@dataclass
class Progress:
    """Steps, rate and last score of one run."""

    run: RunRecord
    steps: int = 0
    total_steps: int = 0  # 0 while it is not known
    score: float | None = None  # return on validation tasks after all adaptations
    _times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def __post_init__(self) -> None:
        self._follower = RowFollower(self.run.files.record)

    @property
    def rate(self) -> float | None:
        """Environment steps per second lately; None while there are no two rows."""
        if len(self._times) < 2:
            return None
        (first_s, first), (last_s, last) = self._times[0], self._times[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the budget is spent, at the present rate."""
        return (self.total_steps - self.steps) / self.rate if self.rate else None

    def look(self) -> None:
        """Read what was written since the last look."""
        if not self.total_steps:
            self.total_steps = _budget(self.run)
        for row in self._follower.new_rows():
            self._take(row)

    def _take(self, row: Row) -> None:
        self.steps = row["env_steps"]
        wall_s, score = row.get("time/wall_s"), last_score(row)
        if isinstance(wall_s, int | float):
            self._times.append((wall_s, self.steps))
        self.score = self.score if score is None else score


def last_score(row: Row) -> float | None:
    """Return the online return after all adaptations of the evaluation in a row, if it has one."""
    prefix, score, index = "eval/online_", None, 0
    while isinstance(value := row.get(f"{prefix}{index}"), int | float):
        score, index = float(value), index + 1
    return score


def _budget(run: RunRecord) -> int:
    """Environment steps that the run was asked for; 0 if that cannot be read (yet)."""
    try:
        steps = run.config()["budget"]["env_steps"]
    except (UserError, KeyError, TypeError):
        return 0
    return steps if isinstance(steps, int) else 0
