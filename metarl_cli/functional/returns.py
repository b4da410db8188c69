"""Returns and advantages of `[T, ...]` reward sequences; discounts, not done flags, end them."""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_return(reward: Tensor, discount: Tensor) -> Tensor:
    """Sum of discounted rewards to come, G_t = r_t + discount_t G_{t+1}.

    Args:
        reward: `[T, ...]`, reward of step t.
        discount: `[T, ...]`, factor on what follows step t; 0 where the episode ends.

    Returns:
        `[T, ...]`.
    """
    assert reward.shape == discount.shape, (reward.shape, discount.shape)
    out = torch.empty_like(reward)
    following = torch.zeros_like(reward[0])
    for t in range(len(reward) - 1, -1, -1):
        following = torch.addcmul(reward[t], discount[t], following)
        out[t] = following
    return out


def gae(
    reward: Tensor, discount: Tensor, value: Tensor, next_value: Tensor, trace: Tensor
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438, Equation 16).

    Args:
        reward: `[T, ...]`, reward of step t.
        discount: `[T, ...]`, gamma, or 0 where step t terminates (no bootstrap).
        value: `[T, ...]`, V of the observation at step t.
        next_value: `[T, ...]`, V of the true successor of step t.
        trace: `[T, ...]`, lambda, or 0 where t is the last step of an episode cut by a limit.

    Returns:
        Advantages `[T, ...]`.
    """
    shapes = {x.shape for x in (reward, discount, value, next_value, trace)}
    assert len(shapes) == 1, shapes
    delta = torch.addcmul(reward, discount, next_value).sub_(value)
    return discounted_return(delta, discount * trace)


def last_step_trace(active: Tensor, gae_lambda: float) -> Tensor:
    """Lambda where step t + 1 of one episode `[T, ...]` is active too, else 0."""
    trace = torch.zeros_like(active)
    trace[:-1] = gae_lambda * active[1:]
    return trace


def trial_gae(
    reward: Tensor, value: Tensor, active: Tensor, discount: float, gae_lambda: float
) -> Tensor:
    """Generalised advantages of whole trials: the ends of inner episodes cut nothing.

    What an agent learns in one episode pays in the next (Duan et al. 2016, arXiv:1611.02779,
    section 2.2), so the successor of an episode's last step is the first step of the next one. The
    trial's end is final. Steps without `active` are skipped over.

    Args:
        reward: `[T, ...]`, T steps of all episodes of a trial.
        value: `[T, ...]`, V of what is known at step t.
        active: `[T, ...]`, 1 or 0.
        discount: gamma.
        gae_lambda: lambda.

    Returns:
        Advantages `[T, ...]`, 0 where not active.
    """
    assert reward.shape == value.shape == active.shape, (reward.shape, value.shape, active.shape)
    advantage = torch.zeros_like(reward)
    following = torch.zeros_like(reward[0])  # the advantage of the next active step
    next_value = torch.zeros_like(reward[0])
    for t in range(len(reward) - 1, -1, -1):
        delta = reward[t] + discount * next_value - value[t]
        advantage[t] = active[t] * (delta + discount * gae_lambda * following)
        following = torch.where(active[t] > 0, advantage[t], following)
        next_value = torch.where(active[t] > 0, value[t], next_value)
    return advantage
