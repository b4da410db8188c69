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

from metarl_cli.core.checks import require_positive
from metarl_cli.core.networks import Network, State
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful, mean_returns
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.returns import trial_gae
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.recurrent_actor_critic import RecurrentActorCritic


class RL2:
    """Recurrent PPO over trials of `episodes` episodes."""

    shares_tasks = True

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        initial_std: float,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_positive(episodes=episodes)
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.ppo = ppo
        self.model = RecurrentActorCritic(spec, network, initial_std=initial_std)
        self.optimizer = ppo.gradient_step(self.model)

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
        """One PPO update on a trial of every environment; its episodes are one to the critic."""
        start = sampler.begin(self, sampler.sample_tasks())
        trials, _ = sampler.run(self, start, episodes=self.episodes)
        old = self.ppo.assess(self.model, trials)
        advantage = trial_gae(
            trials.reward, old.value, trials.step.active, self.ppo.discount, self.ppo.gae_lambda
        )
        metrics = self.ppo.update(self.model, self.optimizer, trials, old, advantage)
        return mean_returns(trials) | metrics
