"""RL2: the memory of a recurrent policy is the learning algorithm.

Duan et al. 2016 (arXiv:1611.02779), section 2; Wang et al. 2016 (arXiv:1611.05763). The policy sees
observation, previous action, previous reward and episode starts; its memory lasts for a whole trial
of several episodes in one task, and the return of the whole trial is what it maximises.

Differences from the paper:
- PPO instead of TRPO, as in all later code.
- Policy and critic share the memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.learners.ppo import PPO, Rollout, one_group
from metarl_cli.networks.memory import State
from metarl_cli.networks.policies import TorsoFactory
from metarl_cli.networks.recurrent import RecurrentActorCritic
from metarl_cli.rollouts.trials import run_training_trials


class RL2:
    """Recurrent PPO over trials of `episodes` episodes."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        initial_std: float,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: TorsoFactory,
    ) -> None:
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.ppo = ppo
        self.model = RecurrentActorCritic(spec, network, initial_std=initial_std)
        self.optimizer = ppo.optimizer(self.model)

    def learned(self) -> Mapping[str, Stateful]:
        """The model and its optimiser."""
        return {"model": self.model, "optimizer": self.optimizer}

    def experience(self) -> Mapping[str, Experience]:
        """Nothing is kept."""
        return {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> State:
        """An empty memory for each environment: they do not share what they learn."""
        return self.model.memory.initial_state(num_tasks * envs_per_task)

    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Remember the step and act."""
        distribution, state = self.model.step(step, state)
        return Output(distribution.sample() if explore else distribution.mode(), state)

    def adapt(self, state: State, episode: Trajectory) -> State:
        """Nothing to do: the memory has adapted while acting."""
        return state

    def train_step(self, sampler: Sampler) -> Metrics:
        """One PPO update on a trial of every environment."""
        trials, returns = run_training_trials(self, sampler, self.episodes)
        rollout = Rollout(
            features=self.model.encoder(trials.step),
            action=trials.action,
            reward=trials.reward,
            active=trials.step.active,
            terminated=trials.terminated,
        )
        return returns | self.ppo.update(self.model, self.optimizer, one_group(rollout))
