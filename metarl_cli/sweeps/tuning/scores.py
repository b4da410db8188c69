"""How good a run is so far: its score on validation tasks, the one that chooses checkpoints."""

from __future__ import annotations

from metarl_cli.loggers.jsonl import RowFollower
from metarl_cli.runtime.run_record import SCORE, RunRecord

Curve = dict[int, float]  # by interval of evaluation 0, 1, ...: the best score until then


class ScoreFollower:
    """Reads the scores of a run while it goes on.

    Args:
        run: one that has not begun has no scores yet.
        eval_every: environment steps from one evaluation to the next. An evaluation belongs to the
            interval that it was made in, so that runs with iterations of other lengths compare.
    """

    def __init__(self, run: RunRecord, eval_every: int) -> None:
        self.curve: Curve = {}
        self._rows = RowFollower(run.files.record)
        self._eval_every = eval_every

    def look(self) -> Curve:
        """Read what is new and return the whole curve."""
        for row in self._rows.new_rows():
            score, interval = row.get(SCORE), row["env_steps"] // self._eval_every
            # A run that went back to its checkpoint repeats itself: earlier intervals are known
            if isinstance(score, int | float) and interval >= max(self.curve, default=0):
                self.curve[interval] = max(float(score), *self.curve.values(), float("-inf"))
        return self.curve
