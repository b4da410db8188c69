"""IMPORT: a policy that knows the task teaches the one that has to find it out.

Kamienny et al. 2020 (arXiv:2005.02934). An informed policy (told the task) and a history policy
(with memory) share their heads on a latent; in every iteration some trials are played by the one
and some by the other, and an auxiliary loss draws the latent of the history to that of the task.
At meta-test only the history policy acts.

Differences from the paper:
- PPO instead of A2C.
- The heads see the present step beside the latent, and latents are bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from metarl_cli.algorithms.import_.actor_critic import INFORMED, InformedActorCritic
from metarl_cli.core.checks import require_not_negative
from metarl_cli.core.networks import Network, State
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful, mean_returns
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.returns import trial_gae
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.learners.ppo import PPO


@dataclass
class Knowledge:
    """What agents remember of their trials, and who is told the task."""

    memory: State
    informed: Tensor  # [B], 1 or 0


class IMPORT:
    """Recurrent PPO, some of whose trials are informed."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        informed_share: float,
        latent_dim: int,
        distance_weight: float,
        policy_hidden: Sequence[int],
        initial_std: float,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        if not 0 <= informed_share < 1:
            raise ValueError(f"informed_share: got {informed_share}, expected a number in [0, 1)")
        require_not_negative(distance_weight=distance_weight)
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.informed_share, self.distance_weight = informed_share, distance_weight
        self.ppo = ppo
        self.model = InformedActorCritic(
            spec,
            network,
            latent_dim=latent_dim,
            policy_hidden=policy_hidden,
            initial_std=initial_std,
            auxiliary=self.distance,
        )
        self.optimizer = ppo.gradient_step(self.model)

    def learned(self) -> Mapping[str, Stateful]:
        """The model and its optimiser."""
        return {"model": self.model, "optimizer": self.optimizer}

    def experience(self) -> Mapping[str, Experience]:
        """Nothing is kept."""
        return {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> Knowledge:
        """Empty memories; nobody is told the task."""
        num = num_tasks * envs_per_task
        return Knowledge(
            self.model.memory.initial_state(num), self.model.critic_head.weight.new_zeros(num)
        )

    def act(self, state: Knowledge, step: TimeStep, *, explore: bool) -> Output:
        """Remember the step and act."""
        distribution, memory = self.model.step(step, state.memory, state.informed)
        action = distribution.sample() if explore else distribution.mode()
        return Output(action, replace(state, memory=memory))

    def adapt(self, state: Knowledge, episode: Trajectory) -> Knowledge:
        """Nothing to do: the memory has adapted while acting."""
        return state

    def train_step(self, sampler: Sampler) -> Metrics:
        """One PPO update on trials of which a share is informed."""
        start = sampler.begin(self, sampler.sample_tasks())
        informed = start.state.informed
        informed[: int(self.informed_share * len(informed))] = 1.0
        trials, _ = sampler.run(self, start, episodes=self.episodes)
        metrics = mean_returns(trials) | {
            "train/trial_return_informed": _mean_return(trials, informed),
            "train/trial_return_history": _mean_return(trials, 1 - informed),
        }
        trials.extras[INFORMED] = informed.expand_as(trials.reward)
        old = self.ppo.assess(self.model, trials)
        advantage = trial_gae(
            trials.reward, old.value, trials.step.active, self.ppo.discount, self.ppo.gae_lambda
        )
        return metrics | self.ppo.update(self.model, self.optimizer, trials, old, advantage)

    def distance(self, of_history: Tensor, of_task: Tensor, active: Tensor) -> Tensor:
        """Beta |z of the history - z of the task|^2: the history learns what the task would say."""
        distance = (of_history - of_task.detach()).square().sum(-1)
        return self.distance_weight * masked_mean(distance, active)


def _mean_return(trials: Trajectory, chosen: Tensor) -> float:
    return float(masked_mean(trials.episode_return, chosen))
