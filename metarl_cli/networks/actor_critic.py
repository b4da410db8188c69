"""Separate policy and value networks on standardised inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.networks import Features, Network
from metarl_cli.core.types import EnvSpec, Observation, Trajectory
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import Evaluation
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.normalizer import Normalizer


class ActorCritic(nn.Module):
    """Policy and critic that share nothing but the standardisation of observations.

    The critic regresses standardised returns: its output is scaled back by running statistics, so
    that one learning rate suits rewards of any size.

    Args:
        spec: the environment.
        network: builds both torsos.
        initial_std: of continuous actions.
        context: where the extras of recorded steps keep what is seen beside the observation.
        context_dim: its size; 0: there is none.
        bounded_mean: whether means of continuous actions stay in [-1, 1].
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: Network,
        *,
        initial_std: float,
        context: str = "context",
        context_dim: int = 0,
        bounded_mean: bool = False,
    ) -> None:
        super().__init__()
        self.context = context
        self.inputs = network.inputs(spec.observation, context_dim)
        in_dim = self.inputs.out_dim
        self.actor = network.torso(in_dim)
        self.head = network.head(
            spec.action, self.actor.out_dim, initial_std, bounded_mean=bounded_mean
        )
        self.critic = network.torso(in_dim)
        self.critic_head = initialised_linear(self.critic.out_dim, 1)
        self.returns = Normalizer(1, clip=float("inf"))

    def features(self, obs: Observation, context: Tensor | None = None) -> Features:
        """Raw network inputs `[..., F]`: the encoded observation and a context `[..., C]`."""
        return self.inputs.encode(obs) if context is None else self.inputs.encode(obs, context)

    def distribution(self, features: Features) -> Distribution:
        """Action distribution for raw features."""
        return self.head(self.actor(self.inputs(features)))

    def value(self, features: Features) -> Tensor:
        """Value in units of reward `[...]` for raw features."""
        return self.returns.restore(self._scaled_value(self.inputs(features))).squeeze(-1)

    def samples(self, trials: Trajectory) -> Trajectory:
        """Arrange steps `[T, B]` as samples `[T * B]`."""
        return tree.tree_map(lambda x: x.flatten(0, 1), trials)

    def in_time(self, x: Tensor, like: Tensor) -> Tensor:
        """Arrange numbers of samples `[T * B]` as `like` `[T, B]`."""
        return x.view_as(like)

    def flat(self, x: Tensor) -> Tensor:
        """Numbers of samples are flat."""
        return x

    @torch.no_grad()
    def update_statistics(self, samples: Trajectory) -> None:
        """Let samples count for the standardisation of inputs."""
        self.inputs.update_statistics(self._seen(samples), samples.step.active)

    def evaluate(self, samples: Trajectory) -> Evaluation:
        """Log-probability and entropy of recorded actions, and standardised values `[M]`."""
        inputs = self.inputs(self._seen(samples))
        value = self._scaled_value(inputs).squeeze(-1)
        distribution = self.head(self.actor(inputs))
        return Evaluation(distribution.log_prob(samples.action), distribution.entropy(), value)

    def _seen(self, samples: Trajectory) -> Features:
        return self.features(samples.step.obs, samples.extras.get(self.context))

    def _scaled_value(self, inputs: Tensor) -> Tensor:
        return self.critic_head(self.critic(inputs))
