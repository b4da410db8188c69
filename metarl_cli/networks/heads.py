"""Policy heads: from features to distributions of actions."""

from __future__ import annotations

import math
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete, Space
from torch import Tensor, nn

from metarl_cli.core.checks import require_positive
from metarl_cli.functional.distributions import Categorical, DiagonalGaussian
from metarl_cli.networks.mlp import initialised_linear

MIN_LOG_STD = math.log(1e-6)  # Finn et al. 2017, code


class GaussianHead(nn.Module):
    """Mean linear in the features; standard deviation is a parameter, not a function of state.

    A bounded mean is the tanh of that. Environments clip actions to [-1, 1], so a mean far outside
    explores no more: the noise added to it changes nothing.
    """

    def __init__(
        self,
        in_dim: int,
        action_dim: int,
        initial_std: float,
        gain: float,
        *,
        bounded_mean: bool = False,
    ) -> None:
        require_positive(initial_std=initial_std)
        super().__init__()
        self.bounded_mean = bounded_mean
        self.mean = initialised_linear(in_dim, action_dim, gain)
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(initial_std)))

    def forward(self, features: Tensor) -> DiagonalGaussian:
        """Return the action distribution for features `[..., F]`."""
        log_std = self.log_std.clamp(min=MIN_LOG_STD)
        if log_std.dim() == 2:  # stacked: one per task
            log_std = log_std.unsqueeze(1)
        mean = self.mean(features)
        return DiagonalGaussian(mean.tanh() if self.bounded_mean else mean, log_std)


class CategoricalHead(nn.Module):
    """Logits linear in the features."""

    def __init__(self, in_dim: int, num_actions: int, gain: float) -> None:
        super().__init__()
        self.logits = initialised_linear(in_dim, num_actions, gain)

    def forward(self, features: Tensor) -> Categorical:
        """Return the action distribution for features `[..., F]`."""
        return Categorical.from_logits(self.logits(features))


def build_head(
    space: Space[Any],
    in_dim: int,
    initial_std: float,
    gain: float = 1.0,
    *,
    bounded_mean: bool = False,
) -> nn.Module:
    """Choose the policy head for an action space; `gain` of its initial weights."""
    if isinstance(space, Box):
        return GaussianHead(
            in_dim, int(space.shape[0]), initial_std, gain, bounded_mean=bounded_mean
        )
    if isinstance(space, Discrete):
        return CategoricalHead(in_dim, int(space.n), gain)
    raise ValueError(f"no policy head for action space {space}")
