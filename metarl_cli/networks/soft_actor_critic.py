"""A squashed Gaussian policy and twin critics, for soft actor-critic on flat inputs."""

from __future__ import annotations

import copy
import math

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.func import functional_call

from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import UNDECIDED, Network
from metarl_cli.core.types import EnvSpec
from metarl_cli.functional.distributions import SquashedGaussian
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.parameters import follow
from metarl_cli.networks.stacked import stack_modules

MIN_LOG_STD, MAX_LOG_STD = -20.0, 2.0  # Haarnoja et al. 2018, code


class SquashedPolicy(nn.Module):
    """Inputs `[..., in_dim]` to a distribution over actions in (-1, 1), spread included."""

    def __init__(self, network: Network, in_dim: int, action_dim: int) -> None:
        super().__init__()
        self.torso = network.torso(in_dim)
        self.head = initialised_linear(self.torso.out_dim, 2 * action_dim, UNDECIDED)

    def forward(self, x: Tensor) -> SquashedGaussian:
        """Return the distribution for inputs `[..., in_dim]`."""
        mean, log_std = self.head(self.torso(x)).float().chunk(2, -1)
        return SquashedGaussian(mean, log_std.clamp(MIN_LOG_STD, MAX_LOG_STD))


class Critic(nn.Module):
    """Inputs and actions, side by side, to Q."""

    def __init__(self, network: Network, in_dim: int) -> None:
        super().__init__()
        self.torso = network.torso(in_dim)
        self.head = initialised_linear(self.torso.out_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., in_dim]` to `[...]`."""
        return self.head(self.torso(x)).squeeze(-1).float()


class SoftActorCritic(nn.Module):
    """Policy, twin critics and their slowly following targets.

    The two critics are one network with stacked parameters: one batched matrix product each layer.

    Args:
        in_dim: size of what policy and critics see of the state (and of the task).
        temperature: what a nat of entropy is worth, to begin with.
    """

    def __init__(self, spec: EnvSpec, network: Network, *, in_dim: int, temperature: float) -> None:
        super().__init__()
        self.bounds = ActionBounds(spec)
        self.policy = SquashedPolicy(network, in_dim, self.bounds.size)
        critics = [Critic(network, in_dim + self.bounds.size) for _ in range(2)]
        self.critic = stack_modules(critics)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    def q(self, x: Tensor, action: Tensor) -> Tensor:
        """Both critics `[2, M]` of inputs `[M, in_dim]` and actions in (-1, 1) `[M, A]`."""
        return self.critic(_twice(x, action))

    def target_q(self, x: Tensor, action: Tensor) -> Tensor:
        """The same of the targets."""
        return self.target(_twice(x, action))

    def frozen_q(self, x: Tensor, action: Tensor) -> Tensor:
        """The same of the critics, whose parameters count as constants."""
        frozen = {name: p.detach() for name, p in self.critic.named_parameters()}
        return functional_call(self.critic, frozen, (_twice(x, action),))

    def follow(self, rate: float) -> None:
        """Move the targets by `rate` of the way to the critics."""
        follow(self.target, self.critic, rate)


class ActionBounds(nn.Module):
    """Maps between (-1, 1) and the bounds of a Box of actions; discrete ones are refused."""

    low: Tensor
    high: Tensor

    def __init__(self, spec: EnvSpec) -> None:
        super().__init__()
        space = spec.action
        if not isinstance(space, Box):
            raise UserError(f"env: this algorithm needs continuous actions, got {space}")
        self.register_buffer("low", torch.as_tensor(space.low), persistent=False)
        self.register_buffer("high", torch.as_tensor(space.high), persistent=False)
        self.size = int(space.shape[0])

    def to_env(self, action: Tensor) -> Tensor:
        """From (-1, 1) to what the environment takes."""
        return self.low + (self.high - self.low) * (action + 1) / 2

    def from_env(self, action: Tensor) -> Tensor:
        """The way back."""
        return 2 * (action - self.low) / (self.high - self.low) - 1


def _twice(x: Tensor, action: Tensor) -> Tensor:
    both = torch.cat([x, action], -1)
    return both.expand(2, *both.shape)
