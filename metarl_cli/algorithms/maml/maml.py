"""Model-agnostic meta-learning for reinforcement learning.

Finn, Abbeel and Levine 2017 (arXiv:1703.03400), Algorithm 3: the inner loop is a policy-gradient
step per task, the outer loop a trust-region step on the performance after adaptation, with exact
second derivatives through the inner loop.

Differences from the paper:
- The Fisher-vector products of the outer step use a share of the samples (`fisher_fraction`).
- The step is then rescaled to the KL divergence measured on all samples (`learners.trpo`).
- The products use J^T F J, J the Jacobian of the inner loop and F the Fisher matrix at the adapted
  parameters. At the current parameters that is the Hessian of the KL divergence itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.algorithms.maml.agent import GradientAgent, Policy, Samples
from metarl_cli.algorithms.maml.inner_loop import Adaptation, InnerLoop
from metarl_cli.core.checks import require_fraction, require_positive
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Metrics, Sampler, Trial
from metarl_cli.core.types import EnvSpec
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import surrogate_loss
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.functional.trust_region import hessian_vector_product
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.parameters import flatten_parameters, load_flat


@dataclass
class MetaBatch:
    """What is sampled in one iteration: `[N, M]` samples of each task."""

    support: list[Samples]  # before each inner step
    query: Samples  # with the adapted parameters
    index: Tensor  # [N], of the tasks in the finite training set, or -1

    def share(self, fraction: float) -> MetaBatch:
        """A share of all samples."""
        support = [samples.share(fraction) for samples in self.support]
        return MetaBatch(support, self.query.share(fraction), self.index)


class MAML(GradientAgent):
    """MAML with a TRPO outer loop and a linear feature baseline.

    Who inherits it may change the policy (`new_policy`), what is learned (`meta_parameters`,
    `load`, `start`) and the loss (`meta_loss`); gradients and Fisher products follow from these.
    """

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        inner: InnerLoop,
        first_order: bool,
        dense_training: bool,
        fisher_fraction: float,
        initial_std: float,
        trpo: TRPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        policy = self.new_policy(spec, network, initial_std)
        super().__init__(num_tasks, envs_per_task, inner, dense_training, policy)
        require_positive(fisher_fraction=fisher_fraction)
        require_fraction(fisher_fraction=fisher_fraction)
        self.first_order, self.fisher_fraction, self.trpo = first_order, fisher_fraction, trpo

    def new_policy(self, spec: EnvSpec, network: Network, initial_std: float) -> Policy:
        """Return the policy, as drawn."""
        return Policy(spec, network, initial_std=initial_std)

    def meta_step(self, sampler: Sampler, trial: Trial) -> Metrics:
        """Sample, adapt and sample again, then improve the initialisation."""
        (*support, query), _, returns = self.collect(sampler, trial, and_after=True)
        return returns | self.meta_update(MetaBatch(support, query, trial.tasks.index))

    def meta_update(self, batch: MetaBatch) -> Metrics:
        """Trust-region step on the mean loss after adaptation (Algorithm 3, line 10)."""
        theta, query = self.meta_parameters(), batch.query
        adaptation = self.adaptation(theta, batch)
        new = self.distribution(adaptation.adapted, query.obs)
        old = new.detach()
        losses = self.meta_loss(adaptation.points, new, old, batch)
        gradients = torch.autograd.grad(losses.sum(), adaptation.points, materialize_grads=True)

        def loss_and_kl(candidate: Tensor) -> tuple[Tensor, Tensor]:
            points = self.adaptation(candidate, batch, differentiable=False).points
            with torch.no_grad():
                new = self.distribution(points[-1], query.obs)
                kl = masked_mean(old.kl(new), query.mask, -1).mean()
                return self.meta_loss(points, new, old, batch).mean(), kl

        new_theta, metrics = self.trpo.step(
            theta,
            loss=losses.detach().mean(),
            gradient=adaptation.pull_back(gradients) / self.num_tasks,
            fisher_product=self._fisher(theta, batch.share(self.fisher_fraction)),
            loss_and_kl=loss_and_kl,
        )
        self.load(new_theta)
        return metrics | {"policy/entropy": float(old.entropy().mean())}

    def adaptation(
        self, theta: Tensor, batch: MetaBatch, *, differentiable: bool = True
    ) -> Adaptation:
        """Redo the inner loop from theta on recorded samples."""
        return Adaptation(
            functools.partial(self.start, batch=batch),
            theta,
            [functools.partial(self.inner_loss, samples) for samples in batch.support],
            differentiable=differentiable and not self.first_order,
        )

    def meta_parameters(self) -> Tensor:
        """All that is meta-learned, as one vector."""
        return flatten_parameters(self.policy)

    def load(self, theta: Tensor) -> None:
        """Take over a vector of the kind that `meta_parameters` returns."""
        load_flat(self.policy, theta)

    def start(self, theta: Tensor, batch: MetaBatch) -> tuple[Tensor, Tensor]:
        """Return where each task begins `[N, P]` and alpha, as a differentiable function."""
        return self.from_one_initialisation(theta)

    def meta_loss(
        self, points: Sequence[Tensor], new: Distribution, old: Distribution, batch: MetaBatch
    ) -> Tensor:
        """Loss of each task `[N]`.

        Args:
            points: parameters before each step and after the last, `[N, P]` each.
            new: action distributions of the adapted parameters in the query samples.
            old: those that the samples are from.
            batch: all samples.
        """
        query = batch.query
        log_prob, old_log_prob = new.log_prob(query.action), old.log_prob(query.action)
        return surrogate_loss(log_prob, old_log_prob, query.advantage, query.mask)

    def _fisher(self, theta: Tensor, batch: MetaBatch) -> Callable[[Tensor], Tensor]:
        """Return v -> mean over tasks of J^T F J v for the adapted policies, at theta."""
        adaptation = self.adaptation(theta, batch)
        adapted = adaptation.adapted
        distribution = self.distribution(adapted, batch.query.obs)
        kl = masked_mean(distribution.detach().kl(distribution), batch.query.mask, -1).sum()
        (kl_gradient,) = torch.autograd.grad(kl, adapted, create_graph=True)
        nothing = [torch.zeros_like(adapted)] * len(adaptation.steps)

        def product(vector: Tensor) -> Tensor:
            tangent = adaptation.push_forward(vector)
            curved = hessian_vector_product(kl_gradient, adapted, tangent)
            return adaptation.pull_back([*nothing, curved]) / self.num_tasks

        return product
