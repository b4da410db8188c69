"""Proximal policy optimisation on recorded samples.

Schulman et al. 2017 (arXiv:1707.06347), Equations 7 and 9, with Adam over shuffled minibatches.

Samples are `[G, M, ...]`: G groups with parameters of their own, trained side by side. One policy
for all tasks is G = 1; a policy per task (see `networks.actor_critic.stack_copies`) is G = N.
Losses and gradient norms never mix groups, so each group learns as it would alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Metrics
from metarl_cli.functional.policy_gradient import clipped_surrogate_loss
from metarl_cli.functional.returns import gae, last_step_trace
from metarl_cli.functional.statistics import explained_variance, masked_mean, whiten
from metarl_cli.networks.actor_critic import ActorCritic


@dataclass
class Rollout:
    """Recorded steps `[T, G, E, ...]`; features are what the networks take."""

    features: Tensor
    next_features: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    active: Tensor


@dataclass
class Minibatch:
    """Samples `[G, M, ...]` with all that the losses need."""

    features: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor  # standardised return
    mask: Tensor


@dataclass(frozen=True)
class PPO:
    """The hyper-parameters of an update."""

    learning_rate: float
    clip: float
    epochs: int
    num_minibatches: int
    discount: float
    gae_lambda: float
    value_coef: float
    entropy_coef: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clip", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("epochs", "num_minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    def optimizer(self, model: ActorCritic) -> torch.optim.Adam:
        """Make the optimiser that `update` steps."""
        return torch.optim.Adam(model.parameters(), lr=self.learning_rate, eps=1e-5, fused=True)

    def update(self, model: ActorCritic, optimizer: torch.optim.Adam, rollout: Rollout) -> Metrics:
        """Improve the model on one rollout."""
        groups = rollout.reward.shape[1]
        samples = self._samples(model, rollout)
        num = samples.mask.shape[1]
        size = max(1, num // self.num_minibatches)
        history = []
        for _ in range(self.epochs):
            order = torch.randperm(num, device=samples.mask.device)
            for rows in order[: size * self.num_minibatches].split(size):
                minibatch = tree.tree_map(lambda x, rows=rows: x[:, rows], samples)
                history.append(self._step(model, optimizer, minibatch, groups))
        names = ("ppo/policy_loss", "ppo/value_loss", "ppo/entropy", "ppo/kl", "ppo/grad_norm")
        means = torch.stack(history).mean(0)
        if not torch.isfinite(means).all():
            raise NonFiniteError("the loss or the gradient of the PPO update is not finite")
        fit = explained_variance(
            model.scaled_value(samples.features).detach(), samples.target, samples.mask
        )
        metrics = dict(zip(names, means.tolist(), strict=True))
        return metrics | {"ppo/explained_variance": float(fit)}

    @torch.no_grad()
    def _samples(self, model: ActorCritic, rollout: Rollout) -> Minibatch:
        """Advantages, value targets and old log-probabilities, by the current model.

        Statistics of the inputs are updated first, as in VariBAD's code, so the "old" policy is the
        one the update starts from: it differs from the one that acted, noticeably in the very first
        update (no statistics yet), then by a KL divergence of about 0.003 and less.
        """

        def by_group(x: Tensor) -> Tensor:  # [T, G, E, ...] -> [G, T * E, ...]
            return x.transpose(0, 1).flatten(1, 2)

        features, mask = by_group(rollout.features), by_group(rollout.active)
        model.inputs.update(features, mask)
        shape = (len(rollout.reward), -1)

        def value_of(x: Tensor) -> Tensor:  # -> [T, G, E]
            return model.value(by_group(x)).unflatten(1, shape).transpose(0, 1)

        value = value_of(rollout.features)
        discount = self.discount * (1 - rollout.terminated)
        trace = last_step_trace(rollout.active, self.gae_lambda)
        next_value = value_of(rollout.next_features)
        advantage = gae(rollout.reward, discount, value, next_value, trace) * rollout.active
        target = by_group(advantage + value).unsqueeze(-1)
        model.returns.update(target, mask)
        action = by_group(rollout.action)
        return Minibatch(
            features=features,
            action=action,
            log_prob=model.distribution(features).log_prob(action),
            advantage=whiten(by_group(advantage), mask),
            target=model.returns(target).squeeze(-1),
            mask=mask,
        )

    def _step(
        self, model: ActorCritic, optimizer: torch.optim.Adam, batch: Minibatch, groups: int
    ) -> Tensor:
        distribution = model.distribution(batch.features)
        log_prob = distribution.log_prob(batch.action)
        policy_loss = clipped_surrogate_loss(
            log_prob, batch.log_prob, batch.advantage, batch.mask, self.clip
        )
        error = model.scaled_value(batch.features) - batch.target
        value_loss = 0.5 * masked_mean(error.square(), batch.mask, -1)
        entropy = masked_mean(distribution.entropy().expand_as(log_prob), batch.mask, -1)
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * entropy
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        grad_norm = clip_by_group(list(model.parameters()), groups, self.max_grad_norm)
        optimizer.step()
        kl = masked_mean(batch.log_prob - log_prob, batch.mask, -1)
        parts = (policy_loss, value_loss, entropy, kl, grad_norm)
        return torch.stack([x.detach().mean() for x in parts])


def clip_by_group(parameters: list[Tensor], groups: int, max_norm: float) -> Tensor:
    """Clip the gradient norm of each group of stacked parameters; return the norms `[G]`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [g.reshape(groups, -1).square().sum(1) for g in gradients]
    norm = torch.stack(squares).sum(0).sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.view(groups, -1).mul_(scale.unsqueeze(1))
    return norm
