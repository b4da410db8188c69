"""Proximal policy optimisation on recorded samples.

Schulman et al. 2017 (arXiv:1707.06347), Equations 7 and 9, with Adam over shuffled minibatches.
Advantages are the business of who uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.checks import require_at_least, require_fraction, require_positive
from metarl_cli.core.distributed import num_processes, own_rows, share_of
from metarl_cli.core.protocols import Metrics
from metarl_cli.core.types import Trajectory
from metarl_cli.functional.policy_gradient import Evaluation, clipped_surrogate_loss
from metarl_cli.functional.statistics import (
    explained_variance,
    masked_mean,
    mean_everywhere,
    whiten,
)
from metarl_cli.learners.gradient_step import Adam, GradientStep, mean_terms
from metarl_cli.networks.normalizer import Normalizer

LOG_PROB, ADVANTAGE, TARGET = "old_log_prob", "advantage", "target"  # extras of samples


class Model(Protocol):
    """What can be improved: a policy and a critic of standardised returns.

    Its samples are single steps `[M]` or, with memory, whole trials `[M, T]`.
    """

    returns: Normalizer

    def samples(self, trials: Trajectory) -> Trajectory:
        """Arrange steps `[T, B]` as samples."""

    def in_time(self, x: Tensor, like: Tensor) -> Tensor:
        """Arrange numbers of samples, `[M]` or `[M * T]`, as `like` `[T, B]`."""

    def flat(self, x: Tensor) -> Tensor:
        """Arrange numbers of samples as `evaluate` does: `[M]`, or `[M * T]`."""

    def update_statistics(self, samples: Trajectory) -> None:
        """Update the standardisation of inputs."""

    def evaluate(self, samples: Trajectory) -> Evaluation:
        """Say what is thought of samples, flattened: `[M]`, or `[M * T]`."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all that is trained."""


class Assessment(NamedTuple):
    """What the policy and the critic from which an update starts say of trials, `[T, B]` each."""

    log_prob: Tensor
    value: Tensor  # in units of reward


@dataclass(frozen=True)
class PPO:
    """The hyper-parameters of an update.

    `discount` and `gae_lambda` are for the advantages. `learning_rate_decay` multiplies the
    learning rate after every update; what it has come to is part of the optimiser's state.
    """

    learning_rate: float
    clip: float
    epochs: int
    num_minibatches: int
    discount: float
    gae_lambda: float
    value_coef: float
    entropy_coef: float
    max_grad_norm: float
    learning_rate_decay: float

    def __post_init__(self) -> None:
        require_positive(
            learning_rate=self.learning_rate,
            clip=self.clip,
            max_grad_norm=self.max_grad_norm,
            learning_rate_decay=self.learning_rate_decay,
        )
        require_fraction(
            discount=self.discount,
            gae_lambda=self.gae_lambda,
            learning_rate_decay=self.learning_rate_decay,
        )
        require_at_least(1, epochs=self.epochs, num_minibatches=self.num_minibatches)

    def gradient_step(self, model: Model) -> GradientStep:
        """Make what `update` steps with."""
        adam = Adam(model.parameters(), lr=self.learning_rate, eps=1e-5, fused=True)
        return GradientStep(adam, "the PPO update", max_grad_norm=self.max_grad_norm)

    @torch.no_grad()
    def assess(self, model: Model, trials: Trajectory) -> Assessment:
        """Let the model see new trials and return what it then says of them.

        Statistics of the inputs are updated first, as in VariBAD's code, so the "old" policy is the
        one the update starts from: it differs from the one that acted, noticeably in the very first
        update (no statistics yet), then by a KL divergence of about 0.003 and less.
        """
        samples = model.samples(trials)
        model.update_statistics(samples)
        said = model.evaluate(samples)
        value = model.returns.restore(said.value.unsqueeze(-1)).squeeze(-1)
        return Assessment(*(model.in_time(x, trials.reward) for x in (said.log_prob, value)))

    def update(
        self,
        model: Model,
        step: GradientStep,
        trials: Trajectory,
        old: Assessment,
        advantage: Tensor,
    ) -> Metrics:
        """Improve the model on trials `[T, B]` with advantages `[T, B]`."""
        samples = self.with_targets(model, trials, old, advantage)
        history = []
        num = num_processes() * len(samples.reward)
        for everyones in self.minibatches(num, advantage.device):
            rows = own_rows(everyones, width=advantage.shape[1])
            batch = some_rows(samples, rows)
            losses, terms = self.losses(model, batch)
            terms |= step.apply(*losses)
            history.append(terms)
        step.scale_learning_rate(self.learning_rate_decay)
        metrics = mean_terms(history, "ppo")
        with torch.no_grad():
            value = model.evaluate(samples).value
        target, mask = model.flat(samples.extras[TARGET]), model.flat(samples.step.active)
        fit = float(explained_variance(value, target, mask))
        return metrics | {"ppo/explained_variance": fit}

    @torch.no_grad()
    def with_targets(
        self, model: Model, trials: Trajectory, old: Assessment, advantage: Tensor
    ) -> Trajectory:
        """Return samples that carry all that the losses need; returns are taken in."""
        target = advantage + old.value
        extras = {LOG_PROB: old.log_prob, ADVANTAGE: advantage, TARGET: target.unsqueeze(-1)}
        samples = model.samples(replace(trials, extras=trials.extras | extras))
        mask, extras = samples.step.active, samples.extras
        model.returns.update_statistics(extras[TARGET], mask)
        extras[TARGET] = model.returns(extras[TARGET]).squeeze(-1)
        whitened = whiten(model.flat(extras[ADVANTAGE]), model.flat(mask), mean=mean_everywhere)
        extras[ADVANTAGE] = whitened.view_as(mask)
        return samples

    def minibatches(self, num: int, device: torch.device) -> Iterator[Tensor]:
        """Shuffle `num` samples once an epoch and yield the rows of each minibatch."""
        size = max(1, num // self.num_minibatches)
        for _ in range(self.epochs):
            order = torch.randperm(num, device=device)
            yield from order[: size * self.num_minibatches].split(size)

    def losses(self, model: Model, batch: Trajectory) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return what is to be minimised, and its terms by name (Equation 9).

        With several processes, shares of these: their means over processes are over all samples.
        """
        said, extras = model.evaluate(batch), batch.extras
        old_log_prob, advantage, target, mask = map(
            model.flat, (extras[LOG_PROB], extras[ADVANTAGE], extras[TARGET], batch.step.active)
        )
        terms = {
            "policy_loss": clipped_surrogate_loss(
                said.log_prob, old_log_prob, advantage, mask, self.clip
            ),
            "value_loss": 0.5 * masked_mean((said.value - target).square(), mask, -1),
            "entropy": masked_mean(said.entropy.expand_as(mask), mask, -1),
            "kl": masked_mean(old_log_prob - said.log_prob, mask, -1),
        }
        share = share_of(mask.sum(-1))
        terms = {name: share * x for name, x in terms.items()}
        value_loss = self.value_coef * terms["value_loss"]
        losses = [terms["policy_loss"], value_loss, -self.entropy_coef * terms["entropy"]]
        if said.auxiliary is not None:
            losses.append(share * said.auxiliary)
            terms["auxiliary_loss"] = losses[-1]
        return losses, terms


def some_rows(samples: Trajectory, rows: Tensor) -> Trajectory:
    """Choose samples; of none at all, one that does not count."""
    if len(rows):
        return tree.index(samples, rows)
    first = tree.index(samples, slice(0, 1))
    return replace(first, step=replace(first.step, active=torch.zeros_like(first.step.active)))
