"""Point estimates from a matrix of scores, a row per seed and a column per task.

After Agarwal et al. 2021 (Deep RL at the edge of the statistical precipice, arXiv:2108.13264).
"""

from __future__ import annotations

import numpy as np

TRIMMED = 0.25  # share of the scores that the interquartile mean leaves out at either end


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of all scores.

    Args:
        scores: `[..., seeds, tasks]`.

    Returns:
        `[...]`
    """
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = int(TRIMMED * flat.shape[-1])
    return flat[..., cut : flat.shape[-1] - cut].mean(-1)


def median(scores: np.ndarray) -> float:
    """Median over tasks of the means over seeds of `[seeds, tasks]`."""
    return float(np.median(scores.mean(0)))


def optimality_gap(scores: np.ndarray, target: float = 1.0) -> float:
    """How far the scores `[seeds, tasks]` stay below the target on average; no credit above it."""
    return float(target - np.minimum(scores, target).mean())


def performance_profile(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Share of the scores `[seeds, tasks]` above each level `[L]`; `[L]`."""
    ordered = np.sort(scores, axis=None)
    return 1.0 - np.searchsorted(ordered, levels, side="right") / ordered.size


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> float:
    """Chance that a run beats another one in a task, averaged over tasks; a tie counts half.

    Args:
        scores: `[seeds, tasks]`.
        others: `[their seeds, tasks]`.
    """
    pairs = scores[:, None] - others[None]  # [seeds, their seeds, tasks]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())
