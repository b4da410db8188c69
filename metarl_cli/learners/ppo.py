"""Proximal policy optimisation on recorded samples.

Schulman et al. 2017 (arXiv:1707.06347), Equations 7 and 9, with Adam over shuffled minibatches.

Samples are `[G, M, ...]`: G groups with parameters of their own, trained side by side. One policy
for all tasks is G = 1; a policy per task (see `networks.actor_critic.stack_copies`) is G = N.
Losses and gradient norms never mix groups, so each group learns as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.checks import require_fraction, require_positive
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Metrics
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import clipped_surrogate_loss
from metarl_cli.functional.returns import gae, last_step_trace, trial_gae
from metarl_cli.functional.statistics import explained_variance, masked_mean, whiten
from metarl_cli.networks.normalizer import Normalizer

METRICS = tuple(
    f"ppo/{name}"  # the last one only for models that have it
    for name in ("policy_loss", "value_loss", "entropy", "kl", "grad_norm", "auxiliary_loss")
)


class Model(Protocol):
    """What can be improved: a policy and a critic of standardised returns."""

    recurrent: bool  # whether features are to come as whole trials `[1, M, T, ...]`
    returns: Normalizer

    def observe(self, features: Any, mask: Tensor) -> None:
        """Update the standardisation of features `[G, M, ...]` where `mask` is 1."""

    def evaluate(self, features: Any, active: Tensor) -> tuple[Distribution, Tensor, Tensor | None]:
        """Return action distribution, standardised value, and what else is minimised, if any."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all that is trained."""


@dataclass
class Rollout:
    """Recorded steps `[T, G, E, ...]`; features are what the networks take.

    Without `next_features` the steps are whole trials: values reach across the ends of inner
    episodes, and the trial's end is final.
    """

    features: Any  # a tensor or a tree of them
    action: Tensor
    reward: Tensor
    active: Tensor
    terminated: Tensor
    next_features: Any = None


def one_group(rollout: Rollout) -> Rollout:
    """Arrange steps `[T, B, ...]` as those of a single group, `[T, 1, B, ...]`."""
    return tree.tree_map(lambda x: None if x is None else x.unsqueeze(1), rollout)


@dataclass
class Samples:
    """Samples `[G, M, ...]` (recurrent: trials `[1, M, T, ...]`) and all that the losses need."""

    features: Any
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor  # standardised return
    mask: Tensor


@dataclass(frozen=True)
class PPO:
    """The hyper-parameters of an update.

    `learning_rate_decay` multiplies the learning rate after every update (None: it stays); what it
    has come to is part of the optimiser's state.
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
    learning_rate_decay: float | None = None

    def __post_init__(self) -> None:
        require_positive(
            learning_rate=self.learning_rate,
            clip=self.clip,
            max_grad_norm=self.max_grad_norm,
            learning_rate_decay=self._decay,
        )
        require_fraction(
            discount=self.discount,
            gae_lambda=self.gae_lambda,
            learning_rate_decay=self._decay,
        )
        for name in ("epochs", "num_minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def _decay(self) -> float:
        return 1.0 if self.learning_rate_decay is None else self.learning_rate_decay

    def optimizer(self, model: Model) -> torch.optim.Adam:
        """Make the optimiser that `update` steps."""
        return torch.optim.Adam(model.parameters(), lr=self.learning_rate, eps=1e-5, fused=True)

    def update(self, model: Model, optimizer: torch.optim.Adam, rollout: Rollout) -> Metrics:
        """Improve the model on one rollout."""
        samples = self._samples(model, rollout)
        groups, num = samples.mask.shape[:2]
        size = max(1, num // self.num_minibatches)
        history = []
        for _ in range(self.epochs):
            order = torch.randperm(num, device=samples.mask.device)
            for rows in order[: size * self.num_minibatches].split(size):
                minibatch = tree.tree_map(lambda x, rows=rows: x[:, rows], samples)
                history.append(self._step(model, optimizer, minibatch, groups))
        for group in optimizer.param_groups:
            group["lr"] *= self._decay
        means = torch.stack(history).mean(0)
        if not torch.isfinite(means).all():
            raise NonFiniteError("the loss or the gradient of the PPO update is not finite")
        with torch.no_grad():
            _, value, _ = model.evaluate(samples.features, samples.mask)
        fit = explained_variance(value, samples.target, samples.mask)
        metrics = dict(zip(METRICS, means.tolist(), strict=False))
        steps = float(len(history))
        return metrics | {"ppo/explained_variance": float(fit), "ppo/gradient_steps": steps}

    @torch.no_grad()
    def _samples(self, model: Model, rollout: Rollout) -> Samples:
        """Advantages, value targets and old log-probabilities, by the current model.

        Statistics of the inputs are updated first, as in VariBAD's code, so the "old" policy is the
        one the update starts from: it differs from the one that acted, noticeably in the very first
        update (no statistics yet), then by a KL divergence of about 0.003 and less.
        """
        layout = _Layout(rollout.active.shape, whole_trials=model.recurrent)
        features, mask = tree.tree_map(layout.arrange, (rollout.features, rollout.active))
        flat_mask = mask.flatten(1)
        model.observe(tree.tree_map(lambda x: x.flatten(1, mask.dim() - 1), features), flat_mask)

        def in_reward_units(scaled: Tensor) -> Tensor:  # [G, M, ...] -> [T, G, E]
            value = model.returns.restore(scaled.flatten(1).unsqueeze(-1)).squeeze(-1)
            return layout.restore(value)

        distribution, scaled, _ = model.evaluate(features, mask)
        value = in_reward_units(scaled)
        if rollout.next_features is None:
            advantage = trial_gae(
                rollout.reward, value, rollout.active, self.discount, self.gae_lambda
            )
        else:
            following = tree.tree_map(layout.arrange, rollout.next_features)
            next_value = in_reward_units(model.evaluate(following, mask)[1])
            discount = self.discount * (1 - rollout.terminated)
            trace = last_step_trace(rollout.active, self.gae_lambda)
            advantage = gae(rollout.reward, discount, value, next_value, trace) * rollout.active
        target = layout.arrange(advantage + value)
        model.returns.update(target.flatten(1).unsqueeze(-1), flat_mask)
        action = layout.arrange(rollout.action)
        return Samples(
            features=features,
            action=action,
            log_prob=distribution.log_prob(action),
            advantage=whiten(layout.arrange(advantage).flatten(1), flat_mask).view_as(mask),
            target=model.returns(target.flatten(1).unsqueeze(-1)).view_as(mask),
            mask=mask,
        )

    def _step(
        self, model: Model, optimizer: torch.optim.Adam, batch: Samples, groups: int
    ) -> Tensor:
        distribution, value, auxiliary = model.evaluate(batch.features, batch.mask)
        log_prob, mask = distribution.log_prob(batch.action).flatten(1), batch.mask.flatten(1)
        old_log_prob, advantage = batch.log_prob.flatten(1), batch.advantage.flatten(1)
        policy_loss = clipped_surrogate_loss(log_prob, old_log_prob, advantage, mask, self.clip)
        error = (value - batch.target).flatten(1)
        value_loss = 0.5 * masked_mean(error.square(), mask, -1)
        entropy = distribution.entropy().expand_as(batch.log_prob).flatten(1)
        entropy = masked_mean(entropy, mask, -1)
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * entropy
        optimizer.zero_grad(set_to_none=True)
        (loss.sum() if auxiliary is None else loss.sum() + auxiliary).backward()
        grad_norm = clip_by_group(list(model.parameters()), groups, self.max_grad_norm)
        optimizer.step()
        kl = masked_mean(old_log_prob - log_prob, mask, -1)
        parts = [policy_loss, value_loss, entropy, kl, grad_norm]
        parts += [] if auxiliary is None else [auxiliary]
        return torch.stack([x.detach().mean() for x in parts])


@dataclass(frozen=True)
class _Layout:
    """From `[T, G, E, ...]` as recorded to samples `[G, T * E, ...]` or trials `[G, E, T, ...]`."""

    recorded: torch.Size  # (T, G, E)
    whole_trials: bool

    def arrange(self, x: Tensor) -> Tensor:
        """Regroup what was recorded."""
        if self.whole_trials:
            return x.movedim(0, 2)
        return x.transpose(0, 1).flatten(1, 2)

    def restore(self, x: Tensor) -> Tensor:
        """Turn flattened samples `[G, M]` back to `[T, G, E]`."""
        steps, groups, envs = self.recorded
        if self.whole_trials:
            return x.view(groups, envs, steps).movedim(2, 0)
        return x.view(groups, steps, envs).transpose(0, 1)


def clip_by_group(parameters: list[Tensor], groups: int, max_norm: float) -> Tensor:
    """Clip the gradient norm of each group of stacked parameters; return the norms `[G]`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [g.reshape(groups, -1).square().sum(1) for g in gradients]
    norm = torch.stack(squares).sum(0).sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.view(groups, -1).mul_(scale.unsqueeze(1))
    return norm
