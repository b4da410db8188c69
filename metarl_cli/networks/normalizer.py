"""Running mean and standard deviation kept in buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalizer(nn.Module):
    """Standardise features `[..., M, F]` by all samples seen so far.

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
    def update(self, x: Tensor) -> None:
        """Take in samples `[G, M, F]` (G = 1 when the statistics are shared)."""
        new = float(x.shape[-2])
        weight = new / (self.count + new)
        shape = self.mean.shape
        self.mean += weight * (x.mean(-2).reshape(shape) - self.mean)
        self.mean_square += weight * (x.square().mean(-2).reshape(shape) - self.mean_square)
        self.count += new

    def _broadcast(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-2) if x.dim() == 2 else x

    def forward(self, x: Tensor) -> Tensor:
        """Standardise and clip."""
        z = (x - self._broadcast(self.mean)) / self._broadcast(self._std())
        return z.clamp(-self.clip, self.clip)

    def restore(self, z: Tensor) -> Tensor:
        """Undo `forward` (without the clipping)."""
        return z * self._broadcast(self._std()) + self._broadcast(self.mean)
