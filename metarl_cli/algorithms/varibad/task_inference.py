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

import numpy as np
import torch
from torch import Tensor, nn

from metarl_cli.algorithms.varibad.belief import LATENTS, BeliefAgent, belief_of
from metarl_cli.algorithms.varibad.belief_learner import BeliefLearner, BeliefUpdates
from metarl_cli.core.checks import require_not_negative
from metarl_cli.core.networks import Network, State
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful, mean_returns
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.mlp import MLP, initialised_linear


@dataclass(frozen=True)
class Supervision:
    """Hyper-parameters of the encoder's loss.

    Args:
        learner: how encoder and decoder are updated.
        bottleneck: weight of the KL divergence of the belief from N(0, 1).
    """

    learner: BeliefUpdates
    bottleneck: float

    def __post_init__(self) -> None:
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
        network: Network,
    ) -> None:
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.supervision = supervision
        self.agent = BeliefAgent(
            spec,
            network,
            latent_dim=latent_dim,
            policy_hidden=policy_hidden,
            initial_std=initial_std,
            ppo=ppo,
        )
        self.decoder = TaskDecoder(spec, network, latent_dim, decoder_hidden)
        self.learner = BeliefLearner(
            self.agent.encoder,
            self.decoder,
            trial_steps=episodes * spec.horizon,
            updates=supervision.learner,
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
        start = sampler.begin(self, sampler.sample_tasks())
        trials, _ = sampler.run(self, start, episodes=self.episodes)
        self.learner.add(trials)
        metrics = mean_returns(trials) | self.agent.improve(trials)
        return metrics | self.learner.improve(self.loss)

    def loss(self, trials: Trajectory) -> tuple[list[Tensor], dict[str, Tensor]]:
        """-log p(task | z) + beta KL(q(z) || N(0, 1)), mean over all steps (section 4.2).

        Returns:
            What is to be minimised, a sum, and its terms without their weights.
        """
        steps = trials.step
        belief = self.agent.encoder.sequence(steps)  # [T, M, Z]
        task_loss = masked_mean(self.decoder.loss(belief.sample(), steps.task), steps.active)
        prior = DiagonalGaussian(torch.zeros_like(belief.mean), torch.zeros_like(belief.mean))
        kl = masked_mean(belief.kl(prior), steps.active)
        terms = {"task_loss": task_loss, "kl": kl}
        return [task_loss, self.supervision.bottleneck * kl], terms


class TaskDecoder(nn.Module):
    """Tells the task from a latent: which of finitely many it is, or its parameters.

    Parameters are predicted in units of the task space, -1 to 1, with a squared error.
    """

    tasks: Tensor

    def __init__(
        self, spec: EnvSpec, network: Network, latent_dim: int, hidden: Sequence[int]
    ) -> None:
        super().__init__()
        self.finite = spec.all_tasks is not None
        tasks = spec.all_tasks if spec.all_tasks is not None else np.zeros((0, spec.task.shape[0]))
        self.register_buffer("tasks", torch.as_tensor(tasks).float(), persistent=False)
        self.scale = network.task_encoder(spec.task)
        self.torso = MLP(hidden, "relu", in_dim=latent_dim)
        out_dim = len(tasks) if self.finite else spec.task.shape[0]
        self.out = initialised_linear(self.torso.out_dim, out_dim)

    def forward(self, latent: Tensor) -> Tensor:
        """Return log-probabilities of all tasks, or scaled parameters: `[..., out]`."""
        out = self.out(self.torso(latent))
        return out.log_softmax(-1) if self.finite else out

    def loss(self, latent: Tensor, task: Tensor) -> Tensor:
        """Return -log p(task | latent) `[...]`, up to a constant for parameters."""
        prediction = self(latent)
        if self.finite:
            which = torch.cdist(task.flatten(0, -2), self.tasks).argmin(-1).view(task.shape[:-1])
            return -prediction.gather(-1, which.unsqueeze(-1)).squeeze(-1)
        return (prediction - self.scale(task)).square().sum(-1)
