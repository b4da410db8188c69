"""Retraining: PPO from scratch on each held-out task, without any meta-training.

The baseline that meta-learning has to beat: an untrained policy per task, improved by one PPO
update (Schulman et al. 2017, arXiv:1707.06347) after every episode index of the meta-test.
All tasks learn side by side in stacked networks that share nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Experience, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.learners.ppo import PPO, Rollout
from metarl_cli.networks.actor_critic import ActorCritic, stack_copies
from metarl_cli.networks.policies import TorsoFactory


@dataclass
class Learners:
    """A model per task, stacked, and their optimiser."""

    model: ActorCritic
    optimizer: torch.optim.Adam
    num_tasks: int


class ScratchPPO:
    """An agent whose adaptation is plain PPO."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        initial_std: float,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: TorsoFactory,
    ) -> None:
        self.num_tasks, self.envs_per_task, self.ppo = num_tasks, envs_per_task, ppo
        self.untrained = ActorCritic(spec, network, initial_std=initial_std)
        if self.untrained.encoder.image is not None:
            raise UserError("scratch_ppo: image observations are not supported")

    def learned(self) -> Mapping[str, Stateful]:
        """The initialisation shared by all tasks, as drawn."""
        return {"untrained": self.untrained}

    def experience(self) -> Mapping[str, Experience]:
        """Nothing is kept."""
        return {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> Learners:
        """A fresh copy of the untrained model for each task."""
        model = stack_copies(copy.deepcopy(self.untrained), num_tasks)
        return Learners(model, self.ppo.optimizer(model), num_tasks)

    def act(self, state: Learners, step: TimeStep, *, explore: bool) -> Output:
        """Act with each task's own policy."""
        obs = tree.tree_map(lambda x: x.unflatten(0, (state.num_tasks, -1)), step.obs)
        distribution = state.model.distribution(state.model.features(obs, None))
        action = distribution.sample() if explore else distribution.mode()
        return Output(action.flatten(0, 1), state)

    def adapt(self, state: Learners, episode: Trajectory) -> Learners:
        """One PPO update per task; the state given is left as it was."""
        learners = copy.deepcopy(state)

        rollout = Rollout(
            features=learners.model.features(episode.step.obs, None),
            next_features=learners.model.features(episode.next_obs, None),
            action=episode.action,
            reward=episode.reward,
            terminated=episode.terminated,
            active=episode.step.active,
        )
        rollout = tree.tree_map(lambda x: x.unflatten(1, (state.num_tasks, -1)), rollout)
        self.ppo.update(learners.model, learners.optimizer, rollout)
        return learners

    def train_step(self, sampler: Sampler) -> None:
        """Nothing is meta-trained."""
        return
