"""A policy that acts on a belief about the task, improved by PPO over whole trials.

The belief comes from an encoder that is trained elsewhere (VariBAD: to predict rewards; task
inference: to tell the task): no policy gradient reaches it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metarl_cli.algorithms.varibad.belief import BeliefEncoder
from metarl_cli.core.protocols import Metrics, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.learners.ppo import PPO, Rollout, one_group
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.memory import State
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.policies import TorsoFactory

LATENTS = 32  # drawn from a belief to average over what is decoded from it
BELIEF = "belief"  # where a trajectory keeps what the policy saw of the belief, [T, B, 2 Z]


class BeliefPPO:
    """Encoder and policy of a belief agent; an agent's state is the encoder's memory.

    Args:
        spec: the environment.
        network: builds the encoder's torso, with memory.
        latent_dim: size Z of the belief.
        policy_hidden: layer sizes of policy and critic.
        initial_std: of continuous actions.
        bounded_mean: whether means of continuous actions stay in [-1, 1].
        ppo: the learner.
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: TorsoFactory,
        *,
        latent_dim: int,
        policy_hidden: Sequence[int],
        initial_std: float,
        ppo: PPO,
        bounded_mean: bool = False,
    ) -> None:
        self.ppo = ppo
        self.encoder = BeliefEncoder(spec, network, latent_dim)
        self.policy = ActorCritic(
            spec,
            functools.partial(MLP, policy_hidden, "tanh"),
            initial_std=initial_std,
            context_dim=2 * latent_dim,
            bounded_mean=bounded_mean,
        )
        self.optimizer = ppo.optimizer(self.policy)

    def learned(self) -> Mapping[str, Stateful]:
        """Policy with critic and their optimiser; the encoder belongs to who trains it."""
        return {"policy": self.policy, "policy_optimizer": self.optimizer}

    def initial_state(self, num: int) -> State:
        """Return the memory of `num` agents at the start of a trial."""
        return self.encoder.memory.initial_state(num)

    @torch.no_grad()
    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Update the belief and act on it."""
        belief, state = self.encoder.step(step, state)
        seen = visible(belief)
        distribution = self.policy.distribution(self.policy.features(step.obs, seen))
        action = distribution.sample() if explore else distribution.mode()
        return Output(action, state, {BELIEF: seen})

    def improve(self, trials: Trajectory) -> Metrics:
        """One PPO update of policy and critic on whole trials `[T, B]`."""
        rollout = Rollout(
            features=self.policy.features(trials.step.obs, trials.extras[BELIEF]),
            action=trials.action,
            reward=trials.reward,
            active=trials.step.active,
            terminated=trials.terminated,
        )
        return self.ppo.update(self.policy, self.optimizer, one_group(rollout))


def visible(belief: DiagonalGaussian) -> Tensor:
    """What a policy sees of a belief: mean and log standard deviation, `[..., 2 Z]`."""
    return torch.cat([belief.mean, belief.log_std], -1)


def belief_of(trial: Trajectory) -> DiagonalGaussian:
    """The belief on which each step of a trial `[T, B]` was taken, `[T, B, Z]`.

    It knows of the steps before, also of the last reward of the episode before.
    """
    mean, log_std = trial.extras[BELIEF].chunk(2, dim=-1)
    return DiagonalGaussian(mean, log_std)
