"""95 % intervals from scores of few seeds on one list of tasks.

Resampling treats every score as independent of the others of its seed; the interval of
`stratified_bootstrap` is therefore far too narrow where some seeds learn better than others: with
5 seeds it covers what it should in 30 to 60 % of all cases. `crossed_interval` counts seeds and
tasks as what they are, two samples that cross, and is what reports print. How often it covers is
simulated in tests/reports/scores/test_intervals.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metarl_cli.reports.scores.aggregates import TRIMMED, interquartile_mean

LEVEL = 0.95
FEWEST_SEEDS = 3  # fewer say nothing about other seeds
FEWEST_TASKS = 5  # fewer are not taken for a sample of all tasks, but for the whole list
SHARE_OF_FREEDOM = 0.6  # of n seeds: the middle half of them decides; found by simulation
Statistic = Callable[[np.ndarray], np.ndarray]  # [..., seeds, tasks] -> [...]


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, and what the interval speaks for.

    Attributes:
        value: the interquartile mean.
        low: of the interval; None where there is none.
        high: likewise.
        over: "seeds and tasks", "seeds", "tasks", or "nothing".
    """

    value: float
    low: float | None
    high: float | None
    over: str


def crossed_interval(scores: np.ndarray) -> Estimate:
    """Interquartile mean with an interval for other seeds and other tasks of the distribution.

    A two-way analysis of variance of the winsorised scores: the squared standard error is that of
    seeds plus that of tasks less what both have counted, noise (Tukey and McLaughlin 1963 for one
    trimmed sample; Satterthwaite 1946 for degrees of freedom of a sum). Fewer than
    `FEWEST_SEEDS` seeds or `FEWEST_TASKS` tasks are no sample: the interval is then over the other
    one alone, which `Estimate.over` says.

    Args:
        scores: `[seeds, tasks]`, the same tasks in each seed.
    """
    seeds, tasks = scores.shape
    many_seeds, many_tasks = seeds >= FEWEST_SEEDS, tasks >= FEWEST_TASKS
    if not many_seeds and not many_tasks:
        return Estimate(float(interquartile_mean(scores)), None, None, "nothing")
    if not many_seeds:
        return _one_way(scores, "tasks")
    if not many_tasks:
        return _one_way(scores, "seeds")
    clipped = winsorised(scores) * scores.size / _kept(scores.size)
    by_seed, by_task, noise = mean_squares(clipped)
    square = max(by_seed + by_task - noise, noise)
    freedom = satterthwaite(
        square,
        [by_seed, by_task, noise],
        [SHARE_OF_FREEDOM * seeds, SHARE_OF_FREEDOM * tasks, (seeds - 1) * (tasks - 1)],
    )
    half = quantile(freedom) * float(np.sqrt(square / scores.size))
    value = float(interquartile_mean(scores))
    return Estimate(value, value - half, value + half, "seeds and tasks")


def stratified_bootstrap(
    scores: np.ndarray,
    statistic: Statistic = interquartile_mean,
    *,
    repetitions: int = 2000,
    tasks_too: bool = False,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of rliable (Agarwal et al. 2021): runs are drawn within each task.

    Args:
        scores: `[seeds, tasks]`.
        statistic: of a batch of such matrices.
        repetitions: how often scores are drawn.
        tasks_too: draw tasks as well, not only runs within tasks.
        seed: of the draws.
        level: share of the draws between both ends.
    """
    rng = np.random.default_rng(seed)
    seeds, tasks = scores.shape
    rows = rng.integers(0, seeds, (repetitions, seeds, tasks))
    columns = (
        rng.integers(0, tasks, (repetitions, 1, tasks)) if tasks_too else np.arange(tasks)[None]
    )
    drawn = statistic(scores[rows, columns])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def winsorised(scores: np.ndarray) -> np.ndarray:
    """Pull the scores outside of the middle half to its ends."""
    ordered = np.sort(scores, axis=None)
    cut = int(TRIMMED * ordered.size)
    return scores.clip(ordered[cut], ordered[ordered.size - 1 - cut])


def mean_squares(scores: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of seeds, tasks and noise in `[seeds, tasks]`."""
    seeds, tasks = scores.shape
    whole = scores.mean()
    rows, columns = scores.mean(1, keepdims=True), scores.mean(0, keepdims=True)
    rest = scores - rows - columns + whole
    return (
        tasks * float(np.square(rows - whole).sum()) / (seeds - 1),
        seeds * float(np.square(columns - whole).sum()) / (tasks - 1),
        float(np.square(rest).sum()) / ((seeds - 1) * (tasks - 1)),
    )


def satterthwaite(whole: float, parts: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of mean squares; never below 1."""
    spread = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    return max(1.0, whole**2 / spread) if spread > 0 else 1.0


def quantile(freedom: float, level: float = LEVEL) -> float:
    """Half the width of a two-sided interval of Student's distribution, in standard errors."""
    from scipy.special import stdtrit  # 0.2 s

    return float(stdtrit(freedom, (1 + level) / 2))


def _one_way(scores: np.ndarray, over: str) -> Estimate:
    """Interval for other seeds with these tasks, or for other tasks with these seeds."""
    clipped = winsorised(scores) * scores.size / _kept(scores.size)
    sample = clipped.mean(1 if over == "seeds" else 0)
    error = float(np.std(sample, ddof=1) / np.sqrt(sample.size))
    half = quantile(_kept(sample.size) - 1) * error
    value = float(interquartile_mean(scores))
    return Estimate(value, value - half, value + half, over)


def _kept(num: int) -> int:
    """How many of so many scores the interquartile mean is over."""
    return num - 2 * int(TRIMMED * num)
