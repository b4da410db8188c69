"""Masked moments, whitening and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from metarl_cli.core.distributed import total

Mean = Callable[[Tensor, Tensor, int], Tensor]  # of numbers over a mask, along a dimension


def masked_mean(x: Tensor, mask: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Mean of `x` where `mask` is 1 (0 if it never is); `dim` None means over all."""
    if dim is None:
        return (x * mask).sum() / mask.sum().clamp(min=1.0)
    return (x * mask).sum(dim) / mask.sum(dim).clamp(min=1.0)


def mean_everywhere(x: Tensor, mask: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Masked mean over the samples of all processes, without a gradient between them."""
    dims = tuple(range(x.dim())) if dim is None else dim
    return total((x * mask).sum(dims)) / total(mask.sum(dims)).clamp(min=1.0)


def whiten(x: Tensor, mask: Tensor, eps: float = 1e-8, mean: Mean = masked_mean) -> Tensor:
    """Shift and scale each row `[N, M]` to mean 0 and standard deviation 1 over its mask."""
    centred = (x - mean(x, mask, -1).unsqueeze(-1)) * mask
    variance = mean(centred.square(), mask, -1).unsqueeze(-1)
    return centred / (variance.sqrt() + eps)


def explained_variance(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - Var[target - prediction] / Var[target] over the mask, in all processes."""

    def variance(x: Tensor) -> Tensor:
        return mean_everywhere((x - mean_everywhere(x, mask)).square(), mask)

    return 1 - variance(target - prediction) / variance(target).clamp(min=1e-12)


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, repetitions: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of independent `values` `[N]`."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(values), size=(repetitions, len(values)))
    means = values[rows].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
