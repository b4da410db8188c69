"""A policy that acts on a latent task, from the task itself or from what was seen of the trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metarl_cli.core.checks import require_positive
from metarl_cli.core.networks import Network, State
from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import Evaluation
from metarl_cli.networks.mlp import MLP, initialised_linear
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.recurrent_actor_critic import LearnsFromTrials, transposed
from metarl_cli.networks.step_memory import StepMemory

INFORMED = "informed"  # the extra of recorded steps that says who was told the task


class InformedActorCritic(LearnsFromTrials):
    """Shared heads on (step, z): z of the task for informed trials, z of the history for others.

    Both z are bounded by tanh: without, those of different tasks drift apart without end, and the
    heads never learn what lies between them, where the history that does not know yet has its z.

    Args:
        spec: the environment.
        network: makes the memory.
        latent_dim: Z.
        policy_hidden: layer sizes between (step, z) and the heads.
        initial_std: of continuous actions.
        auxiliary: what else is minimised, of the z of history and task `[T, M, Z]` and of which
            steps count `[T, M]`.
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: Network,
        *,
        latent_dim: int,
        policy_hidden: Sequence[int],
        initial_std: float,
        auxiliary: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__()
        require_positive(latent_dim=latent_dim)
        self.auxiliary = auxiliary
        self.scale = network.task_encoder(spec.task)
        self.memory = StepMemory(spec, network)
        self.of_history = initialised_linear(self.memory.out_dim, latent_dim)
        self.of_task = nn.Sequential(
            MLP(policy_hidden[:1], "tanh", in_dim=spec.task.shape[0]),
            initialised_linear(policy_hidden[0], latent_dim),
        )
        self.torso = MLP(policy_hidden, "tanh", in_dim=self.memory.inputs.out_dim + latent_dim)
        self.head = network.head(spec.action, self.torso.out_dim, initial_std)
        self.critic_head = initialised_linear(self.torso.out_dim, 1)
        self.returns = Normalizer(1, clip=float("inf"))

    def step(self, step: TimeStep, state: State, informed: Tensor) -> tuple[Distribution, State]:
        """Take in one step `[B]`; return the action distribution and the memory after it.

        Rows `informed` `[B]` are told the task.
        """
        seen = self.memory.look(step)
        remembered, state = self.memory.memory.step(seen, state, step.active)
        of_history, of_task = self._latents(remembered, step.task)
        return self.head(self._hidden(seen, of_history, of_task, informed)), state

    def evaluate(self, samples: Trajectory) -> Evaluation:
        """Log-probability, entropy and value of the steps of trials `[M * T]`, auxiliary loss."""
        step, informed = transposed((samples.step, samples.extras[INFORMED]))
        seen = self.memory.look(step)
        of_history, of_task = self._latents(
            self.memory.memory.sequence(seen, step.active), step.task
        )
        hidden = self._hidden(seen, of_history, of_task, informed)
        hidden = hidden.transpose(0, 1).flatten(0, 1)
        distribution = self.head(hidden)
        return Evaluation(
            distribution.log_prob(samples.action.flatten(0, 1)),
            distribution.entropy(),
            self.critic_head(hidden).squeeze(-1),
            self.auxiliary(of_history, of_task, step.active),
        )

    def _latents(self, remembered: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """The z of the history and that of the task `[..., Z]`."""
        of_history = torch.tanh(self.of_history(remembered))
        return of_history, torch.tanh(self.of_task(self.scale(task)))

    def _hidden(
        self, seen: Tensor, of_history: Tensor, of_task: Tensor, informed: Tensor
    ) -> Tensor:
        latent = torch.where(informed.unsqueeze(-1) > 0, of_task, of_history)
        return self.torso(torch.cat([seen, latent], -1))
