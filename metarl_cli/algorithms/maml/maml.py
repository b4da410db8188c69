"""Model-agnostic meta-learning for reinforcement learning.

Finn, Abbeel and Levine 2017 (arXiv:1703.03400), Algorithm 3: the inner loop is a policy-gradient
step per task, the outer loop a trust-region step on the performance after adaptation, with exact
second derivatives through the inner loop.

Differences from the paper:
- Advantages use lambda = 0.95 instead of 1 and the trust region is 0.02 instead of 0.01: less noise
  in the meta-gradient, and longer steps for it. Both are settings.
- The Fisher-vector products of the outer step use a share of the samples (`fisher_fraction`).
- The step is then rescaled to the KL divergence measured on all samples (`learners.trpo`).
- The products use J^T F J, J the Jacobian of the inner loop and F the Fisher matrix at the adapted
  parameters. At the current parameters that is the Hessian of the KL divergence itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from metarl_cli.algorithms.maml.inner_loop import InnerStep, pull_back, push_forward
from metarl_cli.algorithms.maml.linear_baseline import baseline_advantage
from metarl_cli.algorithms.maml.policy import Policy
from metarl_cli.core import tree
from metarl_cli.core.checks import require_at_least, require_fraction, require_positive
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Observation, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import policy_gradient_loss, surrogate_loss
from metarl_cli.functional.statistics import masked_mean, whiten
from metarl_cli.functional.trust_region import hessian_vector_product
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.parameters import flatten_parameters, load_flat, unflatten


@dataclass
class Samples:
    """One episode of all environments, regrouped by task: `[N, M, ...]`, M = T * E."""

    obs: Observation
    action: Tensor
    advantage: Tensor
    mask: Tensor

    def share(self, fraction: float) -> Samples:
        """One of every round(1 / fraction) samples, from all environments and times alike."""
        num = self.mask.shape[1]
        stride = min(max(1, round(1 / fraction)), num)
        block = torch.arange(num // stride, device=self.mask.device)
        rows = block * stride + block % stride  # a fixed place in the block would favour some envs
        return tree.tree_map(lambda x: x[:, rows], self)


@dataclass
class FastWeights:
    """What the agent knows of its tasks: one set of policy parameters each."""

    parameters: Tensor  # [N, P]
    policy: dict[str, Tensor]  # the same by name, ready for use
    steps_taken: int
    support: tuple[Samples, ...]  # what they were adapted to, for as many steps as are trained


class MAML:
    """MAML with a TRPO outer loop and a linear feature baseline."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        inner_steps: int,
        inner_lr: float,
        later_lr_ratio: float,
        first_order: bool,
        fisher_fraction: float,
        discount: float,
        gae_lambda: float,
        initial_std: float,
        trpo: TRPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_at_least(1, inner_steps=inner_steps)
        require_positive(inner_lr=inner_lr, fisher_fraction=fisher_fraction)
        require_fraction(fisher_fraction=fisher_fraction)
        self.num_tasks, self.envs_per_task = num_tasks, envs_per_task
        self.inner_steps, self.inner_lr, self.later_lr_ratio = inner_steps, inner_lr, later_lr_ratio
        self.first_order, self.fisher_fraction = first_order, fisher_fraction
        self.discount, self.gae_lambda, self.trpo = discount, gae_lambda, trpo
        self.policy = Policy(spec, network, initial_std=initial_std)

    def learned(self) -> Mapping[str, Stateful]:
        """The initialisation that is meta-learned."""
        return {"policy": self.policy}

    def experience(self) -> Mapping[str, Experience]:
        """Nothing is kept."""
        return {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> FastWeights:
        """Every task starts from the meta-learned parameters."""
        shared = flatten_parameters(self.policy)
        return self._fast_weights(shared.expand(num_tasks, -1), 0, ())

    def act(self, state: FastWeights, step: TimeStep, *, explore: bool) -> Output:
        """Act with each task's own parameters."""
        num_tasks = len(state.parameters)
        obs = tree.tree_map(lambda x: x.unflatten(0, (num_tasks, -1)), step.obs)
        distribution = functional_call(self.policy, state.policy, (obs,))
        action = distribution.sample() if explore else distribution.mode()
        return Output(action.flatten(0, 1), state)

    def adapt(self, state: FastWeights, episode: Trajectory) -> FastWeights:
        """One policy-gradient step per task (Equation 4).

        As in the paper's evaluation, steps beyond those trained for are smaller.
        """
        samples = self._samples(episode, len(state.parameters))
        trained = state.steps_taken < self.inner_steps
        inner = InnerStep.take(
            functools.partial(self._inner_loss, samples),
            state.parameters,
            step_size=self.inner_lr * (1.0 if trained else self.later_lr_ratio),
            differentiable=False,
        )
        support = (*state.support, samples) if trained else state.support
        return self._fast_weights(inner.adapted, state.steps_taken + 1, support)

    def train_step(self, sampler: Sampler) -> Metrics:
        """Sample, adapt and sample again in a batch of tasks, then improve the initialisation."""
        trial, episodes = sampler.begin(self, sampler.sample_tasks()), []
        for step in range(self.inner_steps + 1):
            episode, trial = sampler.run(self, trial)
            episodes.append(episode)
            if step < self.inner_steps:
                trial = trial.adapt(self, episode)
        returns = {
            f"train/return_{k}": float(e.episode_return.mean()) for k, e in enumerate(episodes)
        }
        query = self._samples(episodes[-1], self.num_tasks)
        return returns | self.meta_update(trial.state.support, query)

    def meta_update(self, support: Sequence[Samples], query: Samples) -> Metrics:
        """Trust-region step on the mean loss after adaptation (Algorithm 3, line 10)."""
        theta = flatten_parameters(self.policy)
        path = self._inner_path(theta, support, differentiable=not self.first_order)
        leaf = path[-1].adapted.requires_grad_()
        distribution = self.distribution(leaf, query.obs)
        old = distribution.detach()
        losses = self._surrogate(distribution, old, query)
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)

        def loss_and_kl(candidate: Tensor) -> tuple[Tensor, Tensor]:
            adapted = self._inner_path(candidate, support, differentiable=False)[-1].adapted
            with torch.no_grad():
                new = self.distribution(adapted, query.obs)
                kl = masked_mean(old.kl(new), query.mask, -1).mean()
                return self._surrogate(new, old, query).mean(), kl

        new_theta, metrics = self.trpo.step(
            theta,
            loss=losses.detach().mean(),
            gradient=pull_back(path, gradient).mean(0),
            fisher_product=self._fisher(theta, support, query),
            loss_and_kl=loss_and_kl,
        )
        load_flat(self.policy, new_theta)
        return metrics | {"policy/entropy": float(old.entropy().mean())}

    def _fisher(self, theta: Tensor, support: Sequence[Samples], query: Samples) -> FisherProduct:
        """Fisher matrix of the adapted policies as a function of theta, on a share of the data."""
        few = [samples.share(self.fisher_fraction) for samples in (*support, query)]
        path = self._inner_path(theta, few[:-1], differentiable=not self.first_order)
        return FisherProduct(self, path, few[-1])

    def _inner_path(
        self, theta: Tensor, support: Sequence[Samples], *, differentiable: bool
    ) -> list[InnerStep]:
        """Redo the inner steps from theta `[P]` on recorded samples."""
        parameters, path = theta.expand(self.num_tasks, -1), []
        for samples in support:
            path.append(
                InnerStep.take(
                    functools.partial(self._inner_loss, samples),
                    parameters,
                    step_size=self.inner_lr,
                    differentiable=differentiable,
                )
            )
            parameters = path[-1].adapted
        return path

    def _inner_loss(self, samples: Samples, parameters: Tensor) -> Tensor:
        log_prob = self.distribution(parameters, samples.obs).log_prob(samples.action)
        return policy_gradient_loss(log_prob, samples.advantage, samples.mask)

    def _surrogate(self, new: Distribution, old: Distribution, query: Samples) -> Tensor:
        log_prob, old_log_prob = new.log_prob(query.action), old.log_prob(query.action)
        return surrogate_loss(log_prob, old_log_prob, query.advantage, query.mask)

    def distribution(self, parameters: Tensor, obs: Observation) -> Distribution:
        """Action distributions of each task's parameters `[N, P]` at its observations."""
        return functional_call(self.policy, unflatten(self.policy, parameters), (obs,))

    def _fast_weights(
        self, parameters: Tensor, steps_taken: int, support: tuple[Samples, ...]
    ) -> FastWeights:
        return FastWeights(parameters, unflatten(self.policy, parameters), steps_taken, support)

    def _samples(self, episode: Trajectory, num_tasks: int) -> Samples:
        """Regroup by task and estimate advantages with a baseline fitted to this very batch."""

        def by_task(x: Tensor) -> Tensor:  # [T, B, ...] -> [N, T * E, ...]
            return x.unflatten(1, (num_tasks, -1)).transpose(0, 1).flatten(1, 2)

        mask = by_task(episode.step.active)
        obs = tree.tree_map(by_task, episode.step.obs)
        advantage, _, _ = baseline_advantage(
            self.policy.encoder(episode.step.obs),
            episode.reward,
            episode.step.active,
            num_tasks=num_tasks,
            discount=self.discount,
            gae_lambda=self.gae_lambda,
        )
        return Samples(obs, by_task(episode.action), whiten(by_task(advantage), mask), mask)


class FisherProduct:
    """v -> mean over tasks of J^T F J v, with the graphs it needs kept."""

    def __init__(self, maml: MAML, path: Sequence[InnerStep], query: Samples) -> None:
        self.path = path
        self.adapted = path[-1].adapted.requires_grad_()
        distribution = maml.distribution(self.adapted, query.obs)
        kl = masked_mean(distribution.detach().kl(distribution), query.mask, -1).sum()
        (self.kl_gradient,) = torch.autograd.grad(kl, self.adapted, create_graph=True)

    def __call__(self, vector: Tensor) -> Tensor:
        """Multiply `vector` `[P]`."""
        tangent = push_forward(self.path, vector.expand(len(self.adapted), -1))
        product = hessian_vector_product(self.kl_gradient, self.adapted, tangent)
        return pull_back(self.path, product).mean(0)
