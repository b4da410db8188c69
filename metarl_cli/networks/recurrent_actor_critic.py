"""Policy and value on what has been seen of a trial."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.networks import Network, State
from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import Evaluation
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.step_memory import StepMemory


class LearnsFromTrials(nn.Module):
    """A model with a memory of steps whose samples are whole trials; see `learners.ppo.Model`."""

    memory: StepMemory

    def samples(self, trials: Trajectory) -> Trajectory:
        """Arrange steps `[T, B]` as trials `[B, T]`."""
        return transposed(trials)

    def in_time(self, x: Tensor, like: Tensor) -> Tensor:
        """Arrange numbers of trials `[B * T]` as `like` `[T, B]`."""
        return x.view(like.shape[1], -1).T

    def flat(self, x: Tensor) -> Tensor:
        """Arrange numbers `[M, T]` of trials as `[M * T]`."""
        return x.flatten(0, 1)

    @torch.no_grad()
    def update_statistics(self, samples: Trajectory) -> None:
        """Let trials `[M, T]` count for the standardisation of inputs."""
        self.memory.update_statistics(samples.step)


class RecurrentActorCritic(LearnsFromTrials):
    """One memory, and two linear heads on it.

    Sharing the memory halves the work. Like in `ActorCritic` the critic regresses standardised
    returns.
    """

    def __init__(self, spec: EnvSpec, network: Network, *, initial_std: float) -> None:
        super().__init__()
        self.memory = StepMemory(spec, network)
        self.head = network.head(spec.action, self.memory.out_dim, initial_std)
        self.critic_head = initialised_linear(self.memory.out_dim, 1)
        self.returns = Normalizer(1, clip=float("inf"))

    def step(self, step: TimeStep, state: State) -> tuple[Distribution, State]:
        """Take in one step `[B]`; return the action distribution and the memory after it."""
        features, state = self.memory.step(step, state)
        return self.head(features), state

    def evaluate(self, samples: Trajectory) -> Evaluation:
        """Log-probability, entropy and standardised value of the steps of trials: `[M * T]`."""
        remembered = self.memory.sequence(transposed(samples.step)).transpose(0, 1).flatten(0, 1)
        distribution = self.head(remembered)
        return Evaluation(
            distribution.log_prob(samples.action.flatten(0, 1)),
            distribution.entropy(),
            self.critic_head(remembered).squeeze(-1),
        )


def transposed(steps: tree.Tree) -> tree.Tree:
    """Turn a tree of `[T, B, ...]` into one of `[B, T, ...]`, or back."""
    return tree.tree_map(lambda x: x.transpose(0, 1), steps)
