"""Running mean and standard deviation kept in buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core.distributed import total
from metarl_cli.functional.statistics import mean_everywhere


class Normalizer(nn.Module):
    """Standardise features `[..., F]` by all samples seen so far.

    Moments are merged as in Chan et al. 1979 (pairwise updates): a mean far from zero takes nothing
    off the precision of the variance. With stacked buffers `[G, F]` each group `[G, M, F]` has
    statistics of its own. The samples of all processes count.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, dim: int, *, clip: float = 10.0, eps: float = 1e-8) -> None:
        super().__init__()
        self.clip, self.eps = clip, eps
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))
        self.register_buffer("count", torch.zeros(1))

    def _std(self) -> Tensor:
        return self.variance.clamp(min=self.eps).sqrt()

    @torch.no_grad()
    def update_statistics(self, x: Tensor, mask: Tensor) -> None:
        """Take in samples `[..., F]` where `mask` `[...]` is 1 (stacked: `[G, M, F]`)."""
        if self.mean.dim() == 1:
            x, mask = x.flatten(0, mask.dim() - 1), mask.flatten()
        new = total(mask.sum(-1)).reshape(self.count.shape)
        weight = new / (self.count + new).clamp(min=1.0)
        mask, shape = mask.unsqueeze(-1), self.mean.shape
        mean = mean_everywhere(x, mask, -2)
        variance = mean_everywhere((x - mean.unsqueeze(-2)).square(), mask, -2).reshape(shape)
        step = mean.reshape(shape) - self.mean
        self.variance += weight * (variance - self.variance + (1 - weight) * step.square())
        self.mean += weight * step
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
