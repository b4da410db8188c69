"""Separate policy and value networks on standardised inputs, and their stacked form."""

from __future__ import annotations

from collections.abc import Sequence
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
        self,
        spec: EnvSpec,
        network: TorsoFactory,
        *,
        initial_std: float,
        context_dim: int = 0,
        bounded_mean: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = ObservationEncoder(spec.observation, context_dim)
        self.inputs = Inputs(self.encoder.out_dim, self.encoder.image)
        in_dim = self.inputs.out_dim
        self.actor = feed_forward(network, in_dim)
        self.head = build_head(
            spec.action, self.actor.out_dim, initial_std, UNDECIDED, bounded_mean=bounded_mean
        )
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
    """Turn every parameter and buffer into `num` independent copies along a new first dimension."""
    return stack_modules([module] * num)


def stack_modules(modules: Sequence[ModuleT]) -> ModuleT:
    """Stack parameters and buffers of equally built modules along a new first dimension.

    Modules built of `mlp.Linear`, `GaussianHead` and `Normalizer` then map `[num, M, ...]` inputs,
    row g with the parameters of module g. The first module is changed and returned.
    """
    first = modules[0]
    for children in zip(*(list(module.modules()) for module in modules), strict=True):
        for name, _ in list(children[0].named_parameters(recurse=False)):
            values = [getattr(child, name).detach() for child in children]
            setattr(children[0], name, nn.Parameter(torch.stack(values)))
        for name, _ in list(children[0].named_buffers(recurse=False)):
            buffers = [getattr(child, name) for child in children]
            children[0].register_buffer(name, torch.stack(buffers))
    return first
