"""Separate policy and value networks on standardised inputs, and their stacked form."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.functional.distributions import Distribution
from metarl_cli.networks.encoders import Features, ObservationEncoder
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.policies import UNDECIDED, TorsoFactory, build_head, feed_forward

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class ActorCritic(nn.Module):
    """Policy and critic that share nothing but the standardisation of observations.

    The critic regresses standardised returns: its output is scaled back by running statistics, so
    that one learning rate suits rewards of any size.
    """

    recurrent = False

    def __init__(
        self, spec: EnvSpec, network: TorsoFactory, *, initial_std: float, context_dim: int = 0
    ) -> None:
        super().__init__()
        self.encoder = ObservationEncoder(spec.observation, context_dim)
        self.inputs = Inputs(self.encoder.out_dim, self.encoder.image)
        in_dim = self.inputs.out_dim
        self.actor = feed_forward(network, in_dim)
        self.head = build_head(spec.action, self.actor.out_dim, initial_std, UNDECIDED)
        self.critic = feed_forward(network, in_dim)
        self.critic_head = initialised_linear(self.critic.out_dim, 1)
        self.returns = Normalizer(1, clip=float("inf"))

    def features(self, obs: Observation, context: Tensor | None) -> Features:
        """Raw network inputs `[..., F]`: the encoded observation and a context `[..., C]`."""
        return self.encoder(obs) if context is None else self.encoder(obs, context)

    def observe(self, features: Features, mask: Tensor) -> None:
        """Update the standardisation of inputs."""
        self.inputs.update(features, mask)

    def evaluate(self, features: Features, active: Tensor) -> tuple[Distribution, Tensor, None]:
        """Action distribution and standardised value `[...]` for raw features; no other loss."""
        inputs = self.inputs(features)
        value = self.critic_head(self.critic(inputs)).squeeze(-1)
        return self.head(self.actor(inputs)), value, None

    def distribution(self, features: Features) -> Distribution:
        """Action distribution for raw features."""
        return self.head(self.actor(self.inputs(features)))

    def scaled_value(self, features: Features) -> Tensor:
        """Standardised value `[...]` for raw features."""
        return self.critic_head(self.critic(self.inputs(features))).squeeze(-1)

    def value(self, features: Features) -> Tensor:
        """Value in units of reward `[...]` for raw features."""
        return self.returns.restore(self.scaled_value(features).unsqueeze(-1)).squeeze(-1)


def stack_copies(module: ModuleT, num: int) -> ModuleT:
    """Turn every parameter and buffer into `num` independent copies along a new first dimension.

    Modules built of `mlp.Linear`, `GaussianHead` and `Normalizer` then map `[num, M, ...]` inputs,
    row g with parameters g.
    """
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            copies = parameter.detach().expand(num, *parameter.shape).clone()
            setattr(child, name, nn.Parameter(copies))
        for name, buffer in list(child.named_buffers(recurse=False)):
            child.register_buffer(name, torch.stack([buffer] * num))
    return module
