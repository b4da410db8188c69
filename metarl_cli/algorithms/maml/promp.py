"""ProMP: proximal meta-policy search.

Rothfuss et al. 2019 (arXiv:1810.06784): the inner loop descends the likelihood-ratio surrogate,
whose Hessian credits the samples before adaptation at low variance (section 5); the outer loop
takes several Adam steps on the same samples, clipped as in PPO and with a penalty on the KL
divergence of the policies that were sampled from (section 6, Algorithm 1).

Differences from the paper:
- The weight of the KL penalty is constant, as by default in the authors' code.
- The networks, tasks and step counts are those of the configuration, not of the paper.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from metarl_cli.algorithms.maml.agent import GradientAgent, Policy, Samples
from metarl_cli.algorithms.maml.inner_loop import Adaptation, InnerLoop
from metarl_cli.core.checks import require_at_least, require_not_negative, require_positive
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Metrics, Sampler, Stateful, Trial
from metarl_cli.core.types import EnvSpec
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import clipped_surrogate_loss, surrogate_loss
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.learners.gradient_step import Adam, GradientStep, mean_terms
from metarl_cli.networks.parameters import flatten_parameters


class ProMP(GradientAgent):
    """Meta-policy search by Adam on a clipped objective.

    Args:
        learning_rate: of Adam.
        epochs: Adam steps per iteration.
        clip: epsilon of the clipped objective.
        kl_weight: eta of the penalty.

    The other settings are those of `GradientAgent`.
    """

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        inner: InnerLoop,
        dense_training: bool,
        learning_rate: float,
        epochs: int,
        clip: float,
        kl_weight: float,
        initial_std: float,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_positive(learning_rate=learning_rate, clip=clip)
        require_at_least(1, epochs=epochs)
        require_not_negative(kl_weight=kl_weight)
        policy = Policy(spec, network, initial_std=initial_std)
        super().__init__(num_tasks, envs_per_task, inner, dense_training, policy)
        self.epochs, self.clip, self.kl_weight = epochs, clip, kl_weight
        adam = Adam(policy.parameters(), lr=learning_rate)
        self.step = GradientStep(adam, "the initialisation")

    def learned(self) -> dict[str, Stateful]:
        """The initialisation and Adam's moments."""
        return {"policy": self.policy, "optimizer": self.step}

    def meta_step(self, sampler: Sampler, trial: Trial) -> Metrics:
        """Sample, adapt and sample again, then improve the initialisation."""
        batches, _, returns = self.collect(sampler, trial, and_after=True)
        return returns | self.meta_update(batches)

    def meta_update(self, batches: Sequence[Samples]) -> Metrics:
        """Several Adam steps on samples before each inner step and after the last."""
        old: Sequence[Distribution] | None = None
        history = []
        for _ in range(self.epochs):
            gradient, old, terms = self.meta_gradient(batches, old)
            theta = torch.cat([p.flatten() for p in self.policy.parameters()])
            history.append(terms | self.step.apply(theta.dot(gradient)))
        assert old is not None
        entropy = float(old[-1].entropy().mean())
        return mean_terms(history, "promp") | {"policy/entropy": entropy}

    def meta_gradient(
        self, batches: Sequence[Samples], old: Sequence[Distribution] | None
    ) -> tuple[Tensor, Sequence[Distribution], dict[str, Tensor]]:
        """Differentiate the outer loss.

        Args:
            batches: samples before each inner step and after the last.
            old: the policies that each of these is from; None: the present ones.

        Returns:
            The gradient `[P]`, the policies that the batches are from, and the loss's terms.
        """
        adaptation = self._adaptation(batches[:-1], old)
        *points, adapted = adaptation.points
        *support, query = batches
        with torch.set_grad_enabled(old is not None):  # else their divergence is at its minimum
            policies = [
                self.distribution(point, samples.obs)
                for point, samples in zip(points, support, strict=True)
            ]
        new = self.distribution(adapted, query.obs)
        policies.append(new)
        old = old or [policy.detach() for policy in policies]
        policy_loss = clipped_surrogate_loss(
            new.log_prob(query.action),
            old[-1].log_prob(query.action),
            query.advantage,
            query.mask,
            self.clip,
        )
        divergences = [
            masked_mean(was.kl(now), samples.mask, -1)
            for was, now, samples in zip(old, policies, batches, strict=True)
        ]
        inner_kl = torch.stack(divergences[:-1]).mean(0)
        loss = policy_loss + self.kl_weight * inner_kl
        gradients = torch.autograd.grad(loss.sum(), adaptation.points, materialize_grads=True)
        terms = {"policy_loss": policy_loss, "inner_kl": inner_kl, "outer_kl": divergences[-1]}
        return adaptation.pull_back(gradients) / self.num_tasks, old, terms

    def likelihood_ratio_loss(
        self, samples: Samples, old: Distribution | None, parameters: Tensor
    ) -> Tensor:
        """Loss of each task `[N]` in the inner loop.

        Its gradient is that of `inner_loss` where the samples are from, its Hessian is another.
        """
        new = self.distribution(parameters, samples.obs)
        log_prob = new.log_prob(samples.action)
        old_log_prob = (old or new.detach()).log_prob(samples.action)
        return surrogate_loss(log_prob, old_log_prob, samples.advantage, samples.mask)

    def _adaptation(
        self, support: Sequence[Samples], old: Sequence[Distribution] | None
    ) -> Adaptation:
        losses = [
            functools.partial(self.likelihood_ratio_loss, samples, old[k] if old else None)
            for k, samples in enumerate(support)
        ]
        theta = flatten_parameters(self.policy)
        return Adaptation(self.from_one_initialisation, theta, losses, differentiable=True)
