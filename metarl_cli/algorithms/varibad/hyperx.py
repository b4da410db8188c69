"""HyperX: VariBAD with bonuses for exploring what the belief could become.

Zintgraf et al. 2021 (arXiv:2010.01062). While it is trained, the policy is also paid for reaching
new hyper-states (state and belief) and for transitions whose reward, or next state if it is
decoded, the decoders get wrong. Both bonuses are annealed to zero, so that what remains is VariBAD.

Differences from the paper:
- Those of VariBAD.
- The belief after a step is the one the next step is taken on: at the end of an inner episode it
  has seen the reset state, too. The last step of a trial is judged by the belief before it.
- The predictor learns from the newest trials, with the beliefs that were held while acting.
- The random network embeds state and belief together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from metarl_cli.algorithms.varibad.belief import BELIEF
from metarl_cli.algorithms.varibad.novelty import Novelty, ReturnScale
from metarl_cli.algorithms.varibad.varibad import Elbo, VariBAD
from metarl_cli.core import tree
from metarl_cli.core.checks import require_positive
from metarl_cli.core.networks import Network, State
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful, mean_returns
from metarl_cli.core.types import EnvSpec, Observation, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.learners.gradient_step import Adam, GradientStep
from metarl_cli.learners.ppo import PPO


@dataclass(frozen=True)
class Exploration:
    """Hyper-parameters of the bonuses.

    Args:
        novelty_weight: of new hyper-states, at the start of training.
        error_weight: of wrongly decoded transitions, at the start of training.
        anneal_steps: environment steps until both weights are zero.
        target_hidden: layer sizes of the random network.
        predictor_hidden: layer sizes of the network that predicts its output.
        num_features: size of that output.
        target_scale: factor on the random weights.
        learning_rate: of the predictor.
        batch: hyper-states per update of the predictor.
        updates: of the predictor, per iteration.
    """

    novelty_weight: float
    error_weight: float
    anneal_steps: int
    target_hidden: Sequence[int]
    predictor_hidden: Sequence[int]
    num_features: int
    target_scale: float
    learning_rate: float
    batch: int
    updates: int

    def __post_init__(self) -> None:
        require_positive(
            anneal_steps=self.anneal_steps,
            num_features=self.num_features,
            learning_rate=self.learning_rate,
            batch=self.batch,
            updates=self.updates,
        )

    def remaining(self, env_steps: int) -> float:
        """Share of the weights that is left after so many environment steps."""
        return max(0.0, 1.0 - env_steps / self.anneal_steps)


class HyperX:
    """A VariBAD whose policy is also paid bonuses."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        initial_std: float,
        policy_hidden: Sequence[int],
        decoder_hidden: Sequence[int],
        decoder_sees: Literal["transition", "next_state"],
        latent_dim: int,
        elbo: Elbo,
        exploration: Exploration,
        ppo: PPO,
        bounded_mean: bool,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        self.num_tasks, self.envs_per_task = num_tasks, envs_per_task
        self.exploration = exploration
        self.varibad = VariBAD(
            num_tasks=num_tasks,
            envs_per_task=envs_per_task,
            episodes=episodes,
            initial_std=initial_std,
            policy_hidden=policy_hidden,
            decoder_hidden=decoder_hidden,
            decoder_sees=decoder_sees,
            latent_dim=latent_dim,
            elbo=elbo,
            ppo=ppo,
            bounded_mean=bounded_mean,
            spec=spec,
            network=network,
        )
        self.novelty = Novelty(
            spec,
            2 * latent_dim,
            target_hidden=exploration.target_hidden,
            predictor_hidden=exploration.predictor_hidden,
            num_features=exploration.num_features,
            target_scale=exploration.target_scale,
        )
        self.optimizer = GradientStep(
            Adam(self.novelty.predictor.parameters(), lr=exploration.learning_rate),
            "the predictor of hyper-states",
        )
        names = ("reward", "novelty", "error")
        self.scales = nn.ModuleDict({name: ReturnScale(ppo.discount) for name in names})

    def learned(self) -> Mapping[str, Stateful]:
        """All of VariBAD, the novelty's networks and optimiser, and the scales of all rewards."""
        return {
            **self.varibad.learned(),
            "novelty": self.novelty,
            "novelty_optimizer": self.optimizer,
            "scales": self.scales,
        }

    def experience(self) -> Mapping[str, Experience]:
        """As VariBAD."""
        return self.varibad.experience()

    def initial_state(self, num_tasks: int, envs_per_task: int) -> State:
        """As VariBAD."""
        return self.varibad.initial_state(num_tasks, envs_per_task)

    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """As VariBAD."""
        return self.varibad.act(state, step, explore=explore)

    def adapt(self, state: State, episode: Trajectory) -> State:
        """As VariBAD."""
        return self.varibad.adapt(state, episode)

    def predicted_reward(
        self, trial: Trajectory, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """As VariBAD."""
        return self.varibad.predicted_reward(trial, obs, action, next_obs)

    def train_step(self, sampler: Sampler) -> Metrics:
        """VariBAD's iteration with a reward that is scaled and has bonuses."""
        start = sampler.begin(self, sampler.sample_tasks())
        trials, _ = sampler.run(self, start, episodes=self.varibad.episodes)
        metrics = mean_returns(trials)
        active, belief = trials.step.active, belief_after(trials)
        remaining = self.exploration.remaining(sampler.env_steps)
        novelty = self._scaled("novelty", self._novelty_of(trials, belief), active)
        error = self._scaled("error", self._error_of(trials, belief), active)
        novelty = remaining * self.exploration.novelty_weight * novelty
        error = remaining * self.exploration.error_weight * error
        reward = self._scaled("reward", trials.reward, active) + novelty + error
        metrics |= self.varibad.learn_from(trials, reward, sampler.env_steps) | {
            "bonus/novelty": float(masked_mean(novelty, active)),
            "bonus/error": float(masked_mean(error, active)),
            "bonus/remaining": remaining,
        }
        return metrics | {"bonus/novelty_loss": self._improve_novelty(trials, belief)}

    def _scaled(self, name: str, reward: Tensor, active: Tensor) -> Tensor:
        scale = self.scales[name]
        assert isinstance(scale, ReturnScale)
        scale.update_statistics(reward, active)
        return scale(reward)

    @torch.no_grad()
    def _novelty_of(self, trials: Trajectory, belief: Tensor) -> Tensor:
        """Novelty `[T, B]` of the hyper-states reached."""
        return self.novelty(trials.next_obs, belief)

    @torch.no_grad()
    def _error_of(self, trials: Trajectory, belief: Tensor) -> Tensor:
        """-log p(reward, next state) `[T, B]` of each step, decoded from the belief after it."""
        latent = DiagonalGaussian(*belief.chunk(2, -1)).sample()
        # A belief decodes its own step only: all steps of all trials stand side by side.
        latent, steps = tree.tree_map(
            lambda x: x.flatten(0, 1).unsqueeze(0), (latent, replace(trials, extras={}))
        )
        model = self.varibad.model
        return model.weighted(model.errors(latent, steps)).view_as(trials.reward)

    def _improve_novelty(self, trials: Trajectory, belief: Tensor) -> float:
        visited = trials.step.active.nonzero()  # [M, 2]
        history = []
        for _ in range(self.exploration.updates):
            drawn = torch.randint(len(visited), (self.exploration.batch,)).to(visited.device)
            t, b = visited[drawn].unbind(-1)
            loss = self.novelty(tree.index(trials.next_obs, (t, b)), belief[t, b]).mean()
            self.optimizer.apply(loss)
            history.append(loss.detach())
        return float(torch.stack(history).mean())


def belief_after(trials: Trajectory) -> Tensor:
    """What the policy sees of the belief after each step of trials, `[T, B, 2 Z]`."""
    seen = trials.extras[BELIEF]
    return torch.cat([seen[1:], seen[-1:]])
