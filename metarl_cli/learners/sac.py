"""Soft actor-critic: twin critics, and a policy paid for its entropy.

Haarnoja et al. 2018 (arXiv:1812.05905), Algorithm 1; with a fixed temperature it is that of
arXiv:1801.01290, where the scale of the reward takes the temperature's place.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metarl_cli.core.checks import (
    require_choice,
    require_fraction,
    require_not_negative,
    require_positive,
)
from metarl_cli.core.distributed import own_share
from metarl_cli.core.networks import Precision
from metarl_cli.functional.soft_q import policy_loss, soft_target, temperature_loss
from metarl_cli.learners.gradient_step import Adam, GradientStep
from metarl_cli.networks.precision import PRECISIONS, autocast
from metarl_cli.networks.soft_actor_critic import SoftActorCritic


@dataclass
class Batch:
    """Transitions to learn from, `[M, ...]`."""

    inputs: Tensor  # what the critics see of the state; gradients flow back into it
    next_inputs: Tensor
    action: Tensor  # in (-1, 1)
    reward: Tensor  # [M]
    terminated: Tensor  # [M], 1 = no bootstrap
    columns: int | None = None  # in all processes, see `of` in `core.distributed.noise_like`


@dataclass(frozen=True)
class SAC:
    """The hyper-parameters of soft actor-critic.

    Args:
        learning_rate: Adam's step size for all networks.
        discount: gamma.
        target_rate: share of the way that targets move to the critics in each step.
        reward_scale: factor on all rewards.
        temperature: what a nat of entropy is worth, in scaled rewards.
        tuned: adjust the temperature so that the entropy approaches minus the number of action
            dimensions.
        policy_penalty: weight of the squared means and log-stds of the policy (PEARL's code).
        precision: of the networks' matrix products, float32 or bfloat16 (parameters and losses
            stay float32). Where the processor multiplies bfloat16 natively it is much faster.
    """

    learning_rate: float
    discount: float
    target_rate: float
    reward_scale: float
    temperature: float
    tuned: bool
    policy_penalty: float
    precision: Precision

    def __post_init__(self) -> None:
        require_positive(
            learning_rate=self.learning_rate,
            target_rate=self.target_rate,
            reward_scale=self.reward_scale,
            temperature=self.temperature,
        )
        require_not_negative(policy_penalty=self.policy_penalty)
        require_fraction(discount=self.discount, target_rate=self.target_rate)
        require_choice("precision", self.precision, list(PRECISIONS))

    def gradient_step(self, *modules: nn.Module) -> GradientStep:
        """Make one step for all that is learned together."""
        learned = [p for m in modules for p in m.parameters() if p.requires_grad]
        adam = Adam(learned, lr=self.learning_rate, fused=True)
        return GradientStep(adam, "soft actor-critic")

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Context in which networks compute in the chosen precision."""
        return autocast(self.precision, device)

    def losses(
        self, model: SoftActorCritic, data: Batch
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses whose sum is to be minimised, and what else is worth knowing, by name.

        The gradient of the critics' loss reaches `data.inputs`, that of the policy's does not. With
        several processes, shares of these: their means over processes are over all transitions.
        """
        inputs, temperature = data.inputs.detach(), model.log_temperature.detach().exp()
        with torch.no_grad():
            next_action, next_log_prob = model.policy(data.next_inputs).sample(data.columns)
            next_q = model.target_q(data.next_inputs, next_action)
            discount = self.discount * (1 - data.terminated)
            reward = self.reward_scale * data.reward
            target = soft_target(reward, discount, next_q, next_log_prob, temperature)
        q = model.q(data.inputs, data.action)
        distribution = model.policy(inputs)
        action, log_prob = distribution.sample(data.columns)
        policy_q = model.frozen_q(inputs, action)
        penalty = distribution.mean.square().mean() + distribution.log_std.square().mean()
        losses = {
            "critic_loss": (q - target).square().mean(1).sum(),
            "policy_loss": policy_loss(policy_q, log_prob, temperature).mean()
            + self.policy_penalty * penalty,
        }
        if self.tuned:
            entropy = -float(model.bounds.size)
            losses["temperature_loss"] = temperature_loss(
                model.log_temperature, log_prob, entropy
            ).mean()
        seen = {"q": q.mean(), "entropy": -log_prob.mean(), "temperature": temperature}
        share = own_share(data.columns) if data.columns else 1.0
        losses = {name: share * x for name, x in losses.items()}
        return losses, {name: share * x.detach() for name, x in seen.items()}
