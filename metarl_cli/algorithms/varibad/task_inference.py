"""Task inference: a belief trained by supervision, because training tasks are known.

Humplik et al. 2019 (arXiv:1905.06424), sections 3 and 4. An encoder with memory is trained to tell
the task from the trial so far, through a noisy bottleneck; the policy acts on state and belief, and
its gradient does not reach the encoder.

Differences from the paper:
- PPO instead of their off-policy actor-critic (as in VariBAD's comparison).
- One latent Gaussian is both the bottleneck and the belief that the policy sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.algorithms.varibad.belief_learner import BeliefLearner
from metarl_cli.algorithms.varibad.belief_ppo import LATENTS, BeliefPPO, belief_of
from metarl_cli.algorithms.varibad.decoders import TaskDecoder
from metarl_cli.buffers.trials import Record, steps_of
from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.memory import State
from metarl_cli.networks.policies import TorsoFactory
from metarl_cli.rollouts.trials import run_training_trials


@dataclass(frozen=True)
class Supervision:
    """Hyper-parameters of the encoder's loss and of its updates.

    Args:
        learning_rate: Adam's step size for encoder and decoder.
        batch: trials per update.
        updates: per iteration.
        buffer_trials: how many of the latest trials are learned from.
        bottleneck: weight of the KL divergence of the belief from N(0, 1).
        max_grad_norm: of encoder and decoder together.
    """

    learning_rate: float
    batch: int
    updates: int
    buffer_trials: int
    bottleneck: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        require_positive(
            learning_rate=self.learning_rate,
            max_grad_norm=self.max_grad_norm,
            batch=self.batch,
            updates=self.updates,
            buffer_trials=self.buffer_trials,
        )
        require_not_negative(bottleneck=self.bottleneck)


class TaskInference:
    """PPO on beliefs, and an encoder that is told the training tasks."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        initial_std: float,
        policy_hidden: Sequence[int],
        decoder_hidden: Sequence[int],
        latent_dim: int,
        supervision: Supervision,
        ppo: PPO,
        *,
        spec: EnvSpec,
        network: TorsoFactory,
    ) -> None:
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.supervision = supervision
        self.agent = BeliefPPO(
            spec,
            network,
            latent_dim=latent_dim,
            policy_hidden=policy_hidden,
            initial_std=initial_std,
            ppo=ppo,
        )
        self.decoder = TaskDecoder(spec, latent_dim, decoder_hidden)
        self.learner = BeliefLearner(
            self.agent.encoder,
            self.decoder,
            trial_steps=episodes * spec.horizon,
            buffer_trials=supervision.buffer_trials,
            learning_rate=supervision.learning_rate,
            batch=supervision.batch,
            updates=supervision.updates,
            max_grad_norm=supervision.max_grad_norm,
        )

    def learned(self) -> Mapping[str, Stateful]:
        """Policy, encoder with decoder, and their optimisers."""
        return {**self.agent.learned(), **self.learner.learned()}

    def experience(self) -> Mapping[str, Experience]:
        """The encoder's trials."""
        return self.learner.experience()

    def initial_state(self, num_tasks: int, envs_per_task: int) -> State:
        """An empty memory for each environment."""
        return self.agent.initial_state(num_tasks * envs_per_task)

    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Update the belief and act on it."""
        return self.agent.act(state, step, explore=explore)

    def adapt(self, state: State, episode: Trajectory) -> State:
        """Nothing to do: the belief has adapted while acting."""
        return state

    @torch.no_grad()
    def task_log_probs(self, trial: Trajectory) -> Tensor:
        """Log-probabilities of all tasks before each step: log E_q p(task | z), `[T, B, num]`."""
        belief = belief_of(trial)
        decoded = torch.stack([self.decoder(belief.sample()) for _ in range(LATENTS)])
        return decoded.logsumexp(0) - math.log(LATENTS)

    def train_step(self, sampler: Sampler) -> Metrics:
        """One PPO update on new trials, then encoder updates on the latest ones."""
        trials, metrics = run_training_trials(self, sampler, self.episodes)
        self.learner.add(trials)
        metrics |= self.agent.improve(trials)
        return metrics | self.learner.improve(self._loss)

    def _loss(self, trials: Record) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(task | z) + beta KL(q(z) || N(0, 1)), mean over all steps (section 4.2)."""
        steps = steps_of(trials)
        belief = self.agent.encoder.sequence(steps)  # [T, M, Z]
        task_loss = masked_mean(self.decoder.loss(belief.sample(), steps.task), steps.active)
        prior = DiagonalGaussian(torch.zeros_like(belief.mean), torch.zeros_like(belief.mean))
        kl = masked_mean(belief.kl(prior), steps.active)
        terms = {"belief/task_loss": task_loss, "belief/kl": kl}
        return task_loss + self.supervision.bottleneck * kl, terms
