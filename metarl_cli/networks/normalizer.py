"""Running mean and standard deviation kept in buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.functional.statistics import masked_mean


class Normalizer(nn.Module):
    """Standardise features `[..., F]` by all samples seen so far.

    With stacked buffers `[G, F]` each group `[G, M, F]` has statistics of its own.
    """

    mean: Tensor
    mean_square: Tensor
    count: Tensor

    def __init__(self, dim: int, *, clip: float = 10.0, eps: float = 1e-8) -> None:
        super().__init__()
        self.clip, self.eps = clip, eps
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("mean_square", torch.ones(dim))
        self.register_buffer("count", torch.zeros(1))

    def _std(self) -> Tensor:
        return (self.mean_square - self.mean.square()).clamp(min=self.eps).sqrt()

    @torch.no_grad()
    def update_statistics(self, x: Tensor, mask: Tensor) -> None:
        """Take in samples `[..., F]` where `mask` `[...]` is 1 (stacked: `[G, M, F]`)."""
        if self.mean.dim() == 1:
            x, mask = x.flatten(0, mask.dim() - 1), mask.flatten()
        new = mask.sum(-1).reshape(self.count.shape)
        weight = new / (self.count + new).clamp(min=1.0)
        mask, shape = mask.unsqueeze(-1), self.mean.shape
        self.mean += weight * (masked_mean(x, mask, -2).reshape(shape) - self.mean)
        square = masked_mean(x.square(), mask, -2).reshape(shape)
        self.mean_square += weight * (square - self.mean_square)
        self.count += new

    def _broadcast(self, x: Tensor) -> Tensor:  # of groups, over samples
        return x.unsqueeze(-2) if x.dim() == 2 else x

    def forward(self, x: Tensor) -> Tensor:
        """Standardise and clip."""
        z = (x - self._broadcast(self.mean)) / self._broadcast(self._std())
        return z.clamp(-self.clip, self.clip)

    def restore(self, z: Tensor) -> Tensor:
        """Undo `forward` (without the clipping)."""
        return z * self._broadcast(self._std()) + self._broadcast(self.mean)
