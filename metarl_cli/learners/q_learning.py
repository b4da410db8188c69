"""Recurrent double Q-learning on whole episodes: its hyper-parameters, its loss, its exploration.

van Hasselt et al. 2016 (arXiv:1509.06461); on sequences from empty memory as in Hausknecht and
Stone 2015 (arXiv:1507.06527).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl_cli.buffers.sequences import Episodes
from metarl_cli.core.checks import require_at_least, require_fraction, require_positive
from metarl_cli.functional.q_learning import double_q_value, q_lambda_return
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.networks.parameters import follow


@dataclass(frozen=True)
class QLearning:
    """Hyper-parameters of the loss and of its updates.

    Args:
        learning_rate: Adam's step size.
        max_grad_norm: of each network.
        batch: episodes per update.
        updates: per iteration.
        buffer_trials: how many of the latest trials are learned from.
        min_trials: so many trials are seen before the first update.
        discount: gamma.
        td_lambda: of Peng's Q(lambda) returns; 0: one-step targets.
        target_rate: share of the way that target networks follow in each update.
        final_epsilon: share of random actions in the end.
        epsilon_steps: environment steps in which that share falls from 1.
        repeat: for how many steps a random action is kept up, on average.
    """

    learning_rate: float
    max_grad_norm: float
    batch: int
    updates: int
    buffer_trials: int
    min_trials: int
    discount: float
    td_lambda: float
    target_rate: float
    final_epsilon: float
    epsilon_steps: int
    repeat: float

    def __post_init__(self) -> None:
        require_positive(
            learning_rate=self.learning_rate,
            max_grad_norm=self.max_grad_norm,
            batch=self.batch,
            updates=self.updates,
            buffer_trials=self.buffer_trials,
            min_trials=self.min_trials,
            target_rate=self.target_rate,
            epsilon_steps=self.epsilon_steps,
        )
        require_fraction(
            discount=self.discount,
            td_lambda=self.td_lambda,
            target_rate=self.target_rate,
            final_epsilon=self.final_epsilon,
        )
        require_at_least(1, repeat=self.repeat)
        if self.min_trials > self.buffer_trials:
            raise ValueError(
                f"min_trials: got {self.min_trials}, expected at most buffer_trials, "
                f"{self.buffer_trials}"
            )

    def epsilon(self, env_steps: int) -> float:
        """Share of random actions after so many environment steps."""
        done = min(1.0, env_steps / self.epsilon_steps)
        return 1.0 + done * (self.final_epsilon - 1.0)

    def loss(self, values: Tensor, target_values: Tensor, episodes: Episodes) -> Tensor:
        """Half the squared error of the values of the actions taken, a mean over all steps.

        The end of an episode is final, also when it is the time limit: what is to be found out or
        reached has to be within the episode, and memory counts the steps.

        Args:
            values: `[T + 1, B, A]`, of the network that is learning.
            target_values: likewise, of the target network.
            episodes: `[T, B]`, with the rewards to learn from.
        """
        action = episodes.action.unsqueeze(-1)
        taken = values[:-1].gather(-1, action).squeeze(-1)
        with torch.no_grad():
            goes_on = torch.cat([episodes.acted[1:], torch.zeros_like(episodes.acted[:1])])
            target = q_lambda_return(
                episodes.reward,
                self.discount * goes_on,
                double_q_value(values[1:], target_values[1:]),
                self.td_lambda,
            )
        return masked_mean((taken - target).square() / 2, episodes.acted)

    @torch.no_grad()
    def follow(self, target: nn.Module, model: nn.Module) -> None:
        """Move target parameters towards those of the model; statistics are copied."""
        follow(target, model, self.target_rate)
        for statistic, of_model in zip(target.buffers(), model.buffers(), strict=True):
            statistic.copy_(of_model)


def epsilon_greedy(
    values: Tensor, epsilon: float, held: Tensor, repeat: float
) -> tuple[Tensor, Tensor]:
    """Best actions `[B]` of `[B, A]`, but for a share of random ones that are kept up for a while.

    Dabney et al. 2021 (arXiv:2006.01782), with geometric durations: dithering step by step seldom
    leaves the room. A mean duration of 1 is plain epsilon-greedy.

    Args:
        values: `[B, A]`.
        epsilon: how often one that acts on its values begins to act at random.
        held: `[B]`, the random action that is being kept up, -1 for none.
        repeat: mean duration of random actions.

    Returns:
        Actions, and what is being kept up after them.
    """
    best = values.argmax(-1)
    if epsilon == 0:
        return best, held
    chance = torch.rand(2, *best.shape, device=best.device)
    held = torch.where(chance[0] < 1 / repeat, -1, held)
    random = torch.randint(values.shape[-1], best.shape, device=best.device)
    held = torch.where((held < 0) & (chance[1] < epsilon), random, held)
    return torch.where(held < 0, best, held), held
