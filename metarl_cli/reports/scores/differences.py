"""How much better or worse one method is than another on the same tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl_cli.reports.scores.aggregates import probability_of_improvement
from metarl_cli.reports.scores.intervals import FEWEST_TASKS, mean_squares, quantile, satterthwaite


@dataclass(frozen=True)
class Difference:
    """The second method's mean score less the first one's.

    Attributes:
        value: mean over tasks of the differences of the means over seeds.
        low: of the 95 % interval.
        high: likewise.
        per_task: `[tasks]`, means over seeds.
        improvement: chance that a run of the second method beats one of the first in a task.
        over: what the interval speaks for, "seeds and tasks" or "seeds".
    """

    value: float
    low: float
    high: float
    per_task: np.ndarray
    improvement: float
    over: str


def paired_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare scores `[seeds, tasks]` and `[their seeds, tasks]`, two seeds or more on both sides.

    Seeds of one side have nothing to do with those of the other; tasks are the same. The squared
    standard error is what seeds add on either side and what tasks add to the differences, less the
    noise that both count. Too few tasks are no sample (see `FEWEST_TASKS`): seeds count alone.
    """
    per_task = second.mean(0) - first.mean(0)
    tasks, value = len(per_task), float(per_task.mean())
    parts, freedoms, noise = [], [], 0.0
    for scores in (first, second):
        seeds = len(scores)
        parts.append(float(np.var(scores.mean(1), ddof=1)) / seeds)
        freedoms.append(seeds - 1.0)
        noise += mean_squares(scores)[2] / scores.size if tasks > 1 else 0.0
    least, over = sum(parts), "seeds"
    square = least
    if tasks >= FEWEST_TASKS:
        parts.append(float(np.var(per_task, ddof=1)) / tasks)
        freedoms.append(tasks - 1.0)
        square, over = max(least + parts[-1] - noise, noise), "seeds and tasks"
    half = quantile(satterthwaite(square, parts, freedoms)) * float(np.sqrt(square))
    improvement = probability_of_improvement(second, first)
    return Difference(value, value - half, value + half, per_task, improvement, over)
