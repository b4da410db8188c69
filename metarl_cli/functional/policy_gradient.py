"""Policy-gradient losses over samples `[..., M]`; the mean is over the mask of each row."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from metarl_cli.functional.statistics import masked_mean


class Evaluation(NamedTuple):
    """What a policy and a critic say of recorded samples, `[M]` each."""

    log_prob: Tensor  # of the recorded actions
    entropy: Tensor
    value: Tensor  # standardised
    auxiliary: Tensor | None = None  # what else is to be minimised, a scalar


def policy_gradient_loss(log_prob: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """REINFORCE with a baseline (Williams 1992): -mean of log pi(a|s) A, per row `[...]`."""
    assert log_prob.shape == advantage.shape == mask.shape, log_prob.shape
    return -masked_mean(log_prob * advantage, mask, -1)


def surrogate_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    """Importance-weighted loss, -mean of ratio A, per row (Schulman et al. 2015, Equation 14)."""
    assert log_prob.shape == old_log_prob.shape == advantage.shape == mask.shape, log_prob.shape
    return -masked_mean((log_prob - old_log_prob).exp() * advantage, mask, -1)


def clipped_surrogate_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor, clip: float
) -> Tensor:
    """PPO loss per row (Schulman et al. 2017, arXiv:1707.06347, Equation 7)."""
    assert log_prob.shape == old_log_prob.shape == advantage.shape == mask.shape, log_prob.shape
    ratio = (log_prob - old_log_prob).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -masked_mean((ratio * advantage).minimum(clipped * advantage), mask, -1)
