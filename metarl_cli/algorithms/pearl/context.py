"""What a set of transitions says of the task, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.networks.mlp import MLP, initialised_linear

MIN_VARIANCE = 1e-7  # Rakelly et al. 2019, code


class ContextEncoder(nn.Module):
    """q(z | c), a product of one Gaussian factor for each transition.

    Rakelly et al. 2019 (arXiv:1903.08254), section 4.1. Precisions and precision-weighted means of
    factors add up, so that the sums over a set are all that has to be remembered of it.
    """

    def __init__(self, in_dim: int, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.torso = MLP(hidden, "relu", in_dim=in_dim)
        self.head = initialised_linear(self.torso.out_dim, 2 * latent_dim)

    def evidence(self, transitions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sums over transitions `[..., n, in_dim]`, of those where `mask` `[..., n]` is 1.

        Returns:
            Precisions and precision-weighted means, side by side: `[..., 2 Z]`.
        """
        mean, raw = self.head(self.torso(transitions)).float().chunk(2, -1)
        precision = 1 / functional.softplus(raw).clamp(min=MIN_VARIANCE)
        evidence = torch.cat([precision, precision * mean], -1)
        return (evidence if mask is None else evidence * mask.unsqueeze(-1)).sum(-2)


def posterior(evidence: Tensor) -> DiagonalGaussian:
    """q(z | c) `[..., Z]` of evidence `[..., 2 Z]`; N(0, 1) where there is none."""
    precision, weighted = evidence.chunk(2, -1)
    nothing = precision == 0
    precision = torch.where(nothing, 1.0, precision)
    return DiagonalGaussian(weighted / precision, -0.5 * precision.log())


def kl_from_prior(belief: DiagonalGaussian) -> Tensor:
    """KL(q || N(0, 1)) `[...]`."""
    zeros = torch.zeros_like(belief.mean)
    return belief.kl(DiagonalGaussian(zeros, zeros))
