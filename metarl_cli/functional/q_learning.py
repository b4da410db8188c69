"""Targets of action values, `[T, ...]`; discounts, not done flags, end them."""

from __future__ import annotations

from torch import Tensor

from metarl_cli.functional.returns import discounted_return


def double_q_value(values: Tensor, target_values: Tensor) -> Tensor:
    """Value of the action that one network prefers, by the other (van Hasselt et al. 2016).

    arXiv:1509.06461, Equation 4.

    Args:
        values: `[..., A]`, of the network that is learning.
        target_values: `[..., A]`, of the target network.

    Returns:
        `[...]`.
    """
    assert values.shape == target_values.shape, (values.shape, target_values.shape)
    return target_values.gather(-1, values.argmax(-1, keepdim=True)).squeeze(-1)


def q_lambda_return(reward: Tensor, discount: Tensor, next_value: Tensor, trace: float) -> Tensor:
    """Peng's Q(lambda): G_t = r_t + discount_t ((1 - lambda) v_{t+1} + lambda G_{t+1}).

    Peng and Williams 1996 (doi:10.1007/BF00114731). Off-policy actions are not corrected for; at
    lambda 0 it is the one-step target.

    Args:
        reward: `[T, ...]`, reward of step t.
        discount: `[T, ...]`, factor on what follows step t; 0 where the episode ends.
        next_value: `[T, ...]`, value of the best action after step t.
        trace: lambda.

    Returns:
        `[T, ...]`.
    """
    assert reward.shape == discount.shape == next_value.shape, (reward.shape, next_value.shape)
    bootstrapped = reward + discount * (1 - trace) * next_value
    return discounted_return(bootstrapped, discount * trace)
