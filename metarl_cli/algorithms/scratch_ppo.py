"""Retraining: PPO from scratch on each held-out task, without any meta-training.

The baseline that meta-learning has to beat: an untrained policy per task, improved by one PPO
update (Schulman et al. 2017, arXiv:1707.06347) after every episode index of the meta-test.
All tasks learn side by side in stacked networks that share nothing: losses and gradient norms never
mix tasks, so each learns as it would alone.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Experience, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.returns import gae, last_step_trace
from metarl_cli.learners.gradient_step import GradientStep
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.stacked import stack_copies


@dataclass
class Learners:
    """A model per task, stacked, and what it learns with."""

    model: ActorCritic
    step: GradientStep
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
        network: Network,
    ) -> None:
        self.num_tasks, self.envs_per_task, self.ppo = num_tasks, envs_per_task, ppo
        self.untrained = ActorCritic(spec, network, initial_std=initial_std)
        if self.untrained.inputs.image is not None:
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
        step = self.ppo.gradient_step(model)
        step.clip = functools.partial(clip_each_task, num_tasks)
        return Learners(model, step, num_tasks)

    def act(self, state: Learners, step: TimeStep, *, explore: bool) -> Output:
        """Act with each task's own policy."""
        obs = tree.tree_map(lambda x: x.unflatten(0, (state.num_tasks, -1)), step.obs)
        distribution = state.model.distribution(state.model.features(obs))
        action = distribution.sample() if explore else distribution.mode()
        return Output(action.flatten(0, 1), state)

    def adapt(self, state: Learners, episode: Trajectory) -> Learners:
        """One PPO update per task; the state given is left as it was."""
        learners = copy.deepcopy(state)
        self._update(EachTask(learners.model, learners.num_tasks), learners.step, episode)
        return learners

    def train_step(self, sampler: Sampler) -> None:
        """Nothing is meta-trained."""
        return

    def _update(self, model: EachTask, step: GradientStep, episode: Trajectory) -> None:
        """As `PPO.update`, on samples `[N, M]`, with a loss for each task."""
        active, ppo = episode.step.active, self.ppo
        old = ppo.assess(model, episode)
        discount = ppo.discount * (1 - episode.terminated)
        trace = last_step_trace(active, ppo.gae_lambda)
        next_value = model.next_value(episode)
        advantage = gae(episode.reward, discount, old.value, next_value, trace) * active
        samples = ppo.with_targets(model, episode, old, advantage)
        for rows in ppo.minibatches(samples.reward.shape[1], advantage.device):
            losses, _ = ppo.losses(model, tree.index(samples, (slice(None), rows)))
            step.apply(*(loss.sum() for loss in losses))
        step.scale_learning_rate(ppo.learning_rate_decay)


class EachTask:
    """A stacked model as PPO sees it, with samples `[N, M]`: M steps of each task."""

    def __init__(self, model: ActorCritic, num_tasks: int) -> None:
        self.model, self.num_tasks, self.returns = model, num_tasks, model.returns
        self.flat, self.evaluate = model.flat, model.evaluate
        self.update_statistics, self.parameters = model.update_statistics, model.parameters

    def samples(self, trials: Trajectory) -> Trajectory:
        """Arrange steps `[T, N * E, ...]` as samples `[N, T * E, ...]`."""
        return tree.by_task(trials, self.num_tasks)

    def in_time(self, x: Tensor, like: Tensor) -> Tensor:
        """Arrange numbers of samples `[N, T * E]` as `like` `[T, N * E]`."""
        return x.unflatten(1, (len(like), -1)).transpose(0, 1).flatten(1, 2)

    @torch.no_grad()
    def next_value(self, episode: Trajectory) -> Tensor:
        """Value of the successors of all steps, in units of reward: `[T, N * E]`."""
        features = self.model.features(self.samples(episode).next_obs)
        return self.in_time(self.model.value(features), episode.reward)


def clip_each_task(num_tasks: int, parameters: list[Tensor], max_norm: float) -> Tensor:
    """Clip the gradient norm of each task's row of stacked parameters; return the norms `[N]`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [g.reshape(num_tasks, -1).square().sum(1) for g in gradients]
    norm = torch.stack(squares).sum(0).sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.view(num_tasks, -1).mul_(scale.unsqueeze(1))
    return norm
