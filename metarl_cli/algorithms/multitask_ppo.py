"""One PPO policy for all tasks: blind to the task (`multitask_ppo`) or told it (`oracle`).

The two baselines between which meta-learning happens. Blind, the policy can only do what is best
on average over tasks; told the task parameters, it shows what is reachable once the task is known.
PPO: Schulman et al. 2017 (arXiv:1707.06347).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful, mean_returns
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.returns import gae, last_step_trace
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.actor_critic import ActorCritic

TASK = "task"  # the extra of recorded steps that the oracle sees


class MultitaskPPO:
    """PPO on episodes of many tasks; adaptation is the identity."""

    shares_tasks = True

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        observe_task: bool,
        initial_std: float,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        self.num_tasks, self.envs_per_task = num_tasks, envs_per_task
        self.observe_task, self.ppo = observe_task, ppo
        self.model = ActorCritic(
            spec,
            network,
            initial_std=initial_std,
            context=TASK,
            context_dim=spec.task.shape[0] if observe_task else 0,
        )
        self.optimizer = ppo.gradient_step(self.model)

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
        task = step.task if self.observe_task else None
        distribution = self.model.distribution(self.model.features(step.obs, task))
        return Output(distribution.sample() if explore else distribution.mode(), state)

    def adapt(self, state: None, episode: Trajectory) -> None:
        """Learn nothing from a task."""
        return

    def train_step(self, sampler: Sampler) -> Metrics:
        """One PPO update on an episode of every environment."""
        episode, _ = sampler.run(self, sampler.begin(self, sampler.sample_tasks()))
        active, task = episode.step.active, episode.step.task
        recorded = replace(episode, extras={TASK: task} if self.observe_task else {})
        old = self.ppo.assess(self.model, recorded)
        with torch.no_grad():
            next_value = self.model.value(
                self.model.features(episode.next_obs, recorded.extras.get(TASK))
            )
        discount = self.ppo.discount * (1 - episode.terminated)
        trace = last_step_trace(active, self.ppo.gae_lambda)
        advantage = gae(episode.reward, discount, old.value, next_value, trace) * active
        metrics = self.ppo.update(self.model, self.optimizer, recorded, old, advantage)
        return mean_returns(episode) | metrics
