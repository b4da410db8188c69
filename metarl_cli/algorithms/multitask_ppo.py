"""One PPO policy for all tasks: blind to the task (`multitask_ppo`) or told it (`oracle`).

The two baselines between which meta-learning happens. Blind, the policy can only do what is best
on average over tasks; told the task parameters, it shows what is reachable once the task is known.
PPO: Schulman et al. 2017 (arXiv:1707.06347).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Observation, Output, TimeStep, Trajectory
from metarl_cli.learners.ppo import PPO, Rollout, one_group
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.encoders import Features
from metarl_cli.networks.policies import TorsoFactory


class MultitaskPPO:
    """PPO on episodes of many tasks; adaptation is the identity."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        observe_task: bool,
        initial_std: float,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: TorsoFactory,
    ) -> None:
        context_dim = spec.task.shape[0] if observe_task else 0
        self.num_tasks, self.envs_per_task = num_tasks, envs_per_task
        self.observe_task, self.ppo = observe_task, ppo
        self.model = ActorCritic(spec, network, initial_std=initial_std, context_dim=context_dim)
        self.optimizer = ppo.optimizer(self.model)

    def learned(self) -> Mapping[str, Stateful]:
        """The model and its optimiser."""
        return {"model": self.model, "optimizer": self.optimizer}

    def experience(self) -> Mapping[str, Experience]:
        """Nothing is kept."""
        return {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> None:
        """Remember nothing."""
        return

    def act(self, state: None, step: TimeStep, *, explore: bool) -> Output:
        """Act by the shared policy."""
        distribution = self.model.distribution(self._features(step.obs, step.task))
        return Output(distribution.sample() if explore else distribution.mode(), state)

    def adapt(self, state: None, episode: Trajectory) -> None:
        """Learn nothing from a task."""
        return

    def train_step(self, sampler: Sampler) -> Metrics:
        """One PPO update on an episode of every environment."""
        episode, _ = sampler.run(self, sampler.begin(self, sampler.sample_tasks()))
        step = episode.step
        rollout = Rollout(
            features=self._features(step.obs, step.task),
            next_features=self._features(episode.next_obs, step.task),
            action=episode.action,
            reward=episode.reward,
            terminated=episode.terminated,
            active=step.active,
        )
        metrics = self.ppo.update(self.model, self.optimizer, one_group(rollout))
        return {"train/return_0": float(episode.episode_return.mean())} | metrics

    def _features(self, obs: Observation, task: Tensor) -> Features:
        return self.model.features(obs, task if self.observe_task else None)
