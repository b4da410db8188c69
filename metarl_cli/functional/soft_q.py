"""Losses of soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), on tensors of any shape."""

from __future__ import annotations

from torch import Tensor


def soft_target(
    reward: Tensor, discount: Tensor, next_q: Tensor, next_log_prob: Tensor, temperature: Tensor
) -> Tensor:
    """What Q should be: r + discount (min Q'(s', a') - temperature log pi(a' | s')), Equation 3.

    Args:
        reward: `[...]`.
        discount: `[...]`, gamma, or 0 where the step terminates.
        next_q: `[2, ...]`, both target critics at the successor and an action drawn there.
        next_log_prob: `[...]`, of that action.
        temperature: what a nat of entropy is worth.

    Returns:
        `[...]`.
    """
    assert reward.shape == discount.shape == next_q.shape[1:] == next_log_prob.shape, next_q.shape
    return reward + discount * (next_q.amin(0) - temperature * next_log_prob)


def policy_loss(q: Tensor, log_prob: Tensor, temperature: Tensor) -> Tensor:
    """Loss temperature log pi(a | s) - min Q(s, a) `[...]` for `q` `[2, ...]`, Equation 7."""
    assert q.shape[1:] == log_prob.shape, (q.shape, log_prob.shape)
    return temperature * log_prob - q.amin(0)


def temperature_loss(log_temperature: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """-log temperature (log pi + target entropy) `[...]`, Equation 18 as in the authors' code."""
    return -log_temperature * (log_prob.detach() + target_entropy)
