"""Separate policy and value networks on standardised inputs, and their stacked form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.functional.distributions import Distribution
from metarl_cli.networks.encoders import build_encoder
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.policies import Policy, TorsoFactory, feed_forward, join


class ActorCritic(nn.Module):
    """Policy and critic that share nothing but the standardisation of observations.

    The critic regresses standardised returns: its output is scaled back by running statistics, so
    that one learning rate suits rewards of any size.
    """

    def __init__(
        self, spec: EnvSpec, network: TorsoFactory, *, initial_std: float, context_dim: int = 0
    ) -> None:
        super().__init__()
        self.policy = Policy(spec, network, initial_std=initial_std, context_dim=context_dim)
        self.critic_encoder = build_encoder(spec.observation)
        in_dim = int(self.critic_encoder.out_dim) + context_dim
        self.critic_torso = feed_forward(network, in_dim)
        self.critic_head = initialised_linear(int(self.critic_torso.out_dim), 1)
        self.inputs = Normalizer(in_dim)
        self.returns = Normalizer(1, clip=float("inf"))

    def features(self, obs: Observation, context: Tensor | None) -> Tensor:
        """Raw network inputs `[..., F]`: what `inputs` standardises."""
        return join(self.critic_encoder(obs), context)

    def distribution(self, features: Tensor) -> Distribution:
        """Action distribution for raw features."""
        return self.policy.head(self.policy.torso(self.inputs(features)))

    def scaled_value(self, features: Tensor) -> Tensor:
        """Standardised value `[...]` for raw features."""
        return self.critic_head(self.critic_torso(self.inputs(features))).squeeze(-1)

    def value(self, features: Tensor) -> Tensor:
        """Value in units of reward `[...]` for raw features."""
        return self.returns.restore(self.scaled_value(features).unsqueeze(-1)).squeeze(-1)


def stack_copies(module: nn.Module, num: int) -> nn.Module:
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
