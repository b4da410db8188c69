"""Feed-forward stochastic policies: observation in, action distribution out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.functional.distributions import Categorical, DiagonalGaussian, Distribution
from metarl_cli.networks.encoders import build_encoder
from metarl_cli.networks.mlp import initialised_linear

TorsoFactory = Callable[..., nn.Module]  # called with in_dim=...

MIN_LOG_STD = math.log(1e-6)  # Finn et al. 2017, code


class GaussianHead(nn.Module):
    """Mean linear in the features; standard deviation is a parameter, not a function of state."""

    def __init__(self, in_dim: int, action_dim: int, initial_std: float) -> None:
        super().__init__()
        self.mean = initialised_linear(in_dim, action_dim)
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(initial_std)))

    def forward(self, features: Tensor) -> DiagonalGaussian:
        """Return the action distribution for features `[..., F]`."""
        log_std = self.log_std.clamp(min=MIN_LOG_STD)
        if log_std.dim() == 2:  # stacked: one per task
            log_std = log_std.unsqueeze(1)
        return DiagonalGaussian(self.mean(features), log_std)


class CategoricalHead(nn.Module):
    """Logits linear in the features."""

    def __init__(self, in_dim: int, num_actions: int) -> None:
        super().__init__()
        self.logits = initialised_linear(in_dim, num_actions)

    def forward(self, features: Tensor) -> Categorical:
        """Return the action distribution for features `[..., F]`."""
        return Categorical.from_logits(self.logits(features))


class Policy(nn.Module):
    """Encoder, torso and head. With `context_dim`, a context `[..., C]` joins the observation."""

    def __init__(
        self, spec: EnvSpec, network: TorsoFactory, *, initial_std: float, context_dim: int = 0
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(spec.observation)
        self.torso = feed_forward(network, int(self.encoder.out_dim) + context_dim)
        width = int(self.torso.out_dim)
        self.head: nn.Module
        if isinstance(spec.action, Box):
            self.head = GaussianHead(width, int(spec.action.shape[0]), initial_std)
        elif isinstance(spec.action, Discrete):
            self.head = CategoricalHead(width, int(spec.action.n))
        else:
            raise ValueError(f"no policy head for action space {spec.action}")

    def forward(self, obs: Observation, context: Tensor | None = None) -> Distribution:
        """Return the action distribution: batch shape is that of `obs`."""
        return self.head(self.torso(join(self.encoder(obs), context)))


def join(features: Tensor, context: Tensor | None) -> Tensor:
    """Append a context to features along the last dimension."""
    return features if context is None else torch.cat([features, context], -1)


def feed_forward(network: TorsoFactory, in_dim: int) -> nn.Module:
    """Build a torso and refuse one with memory."""
    torso = network(in_dim=in_dim)
    kind = getattr(torso, "kind", None)
    if kind != "feed-forward":
        raise UserError(f"this algorithm needs a feed-forward network (network=mlp), got {kind}")
    return torso
