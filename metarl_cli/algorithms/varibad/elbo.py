"""Terms of evidence lower bounds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from metarl_cli.functional.distributions import DiagonalGaussian


def sequential_kl(belief: DiagonalGaussian, active: Tensor) -> Tensor:
    """KL of each belief from the one before it, the first from N(0, 1): `[T, ...]`.

    Zintgraf et al. 2020 (arXiv:1910.08348), Equation 7: yesterday's posterior is today's prior.

    Args:
        belief: `[T, ..., Z]`.
        active: `[T, ...]`; a belief that is not active is skipped over.
    """
    prior = DiagonalGaussian(torch.zeros_like(belief.mean[:1]), torch.zeros_like(belief.mean[:1]))
    steps = torch.arange(len(active), device=active.device).view(-1, *[1] * (active.dim() - 1))
    last_active = torch.where(active > 0, steps, -1).cummax(0).values  # [T, ...]
    before = torch.cat([torch.full_like(last_active[:1], -1), last_active[:-1]]) + 1

    def previous(first: Tensor, values: Tensor) -> Tensor:
        index = before.unsqueeze(-1).expand_as(values)
        return torch.cat([first, values]).gather(0, index)

    earlier = DiagonalGaussian(
        previous(prior.mean, belief.mean), previous(prior.log_std, belief.log_std)
    )
    return belief.kl(earlier) * active


def negative_log_likelihood(prediction: Tensor, target: Tensor, likelihood: str) -> Tensor:
    """-log p(target) up to a constant, elementwise.

    "gaussian": squared error, as VariBAD's code has it (a variance of one half). "bernoulli": the
    prediction is the logit of the target being positive.
    """
    if likelihood == "gaussian":
        return (prediction - target).square()
    positive = (target > 0).to(prediction.dtype).expand_as(prediction)
    return functional.binary_cross_entropy_with_logits(prediction, positive, reduction="none")
