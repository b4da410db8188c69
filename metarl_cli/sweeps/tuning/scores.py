"""How good a run is so far: its score on validation tasks, the one that chooses checkpoints."""

from __future__ import annotations

from metarl_cli.runtime.run_record import SCORE, RunRecord

Curve = dict[int, float]  # by interval of evaluation 0, 1, ...: the best score until then


def read_curve(run: RunRecord, eval_every: int) -> Curve:
    """Read the best score so far, evaluation by evaluation, from the record of a run.

    Args:
        run: one that has not begun has no evaluations.
        eval_every: environment steps from one evaluation to the next. An evaluation belongs to the
            interval that it was made in, so that runs with iterations of other lengths compare.
    """
    curve: Curve = {}
    best = float("-inf")
    for row in run.rows() if run.files.record.exists() else ():
        score = row.get(SCORE)
        if isinstance(score, int | float):
            best = max(best, float(score))
            curve[row["env_steps"] // eval_every] = best
    return curve
