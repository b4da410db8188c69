"""MAESN: exploration by a latent variable that is drawn once per episode, and adapted.

Gupta et al. 2018 (arXiv:1802.07245), section 5: the policy pi(a|s, z) sees z ~ N(mu_i, sigma_i^2),
drawn at the first step of an episode, so that exploration is coherent in time. Each training task
keeps latent parameters omega_i = (mu_i, log sigma_i) of its own. The inner loop adapts these alone,
with learned step sizes; the outer loop improves the policy, all omega_i and the step sizes through
it, and keeps N(mu_i, sigma_i^2) near N(0, 1), from which new tasks start.

The inner loss is that of REINFORCE on the latent variable, -log N(z; mu, sigma^2) * A, A the return
of the episode. The outer loss depends on omega through z = mu + sigma * noise: the noise counts as
part of the observation. So all is MAML on a policy of (theta, omega) with step size 0 for theta.

Differences from the paper:
- The gradient of mu is multiplied by sigma^2, a natural gradient; it is the same where adaptation
  begins, at sigma = 1. With the plain one, 1 / sigma^2 as large, later steps overshoot. How a step
  depends on sigma is left out of the outer gradient. As the noise is held fixed, nothing else of a
  step depends on omega: its Jacobian is the identity, and `first_order` makes no difference.
- An episode that ends early weighs less in a step, by its share of the samples.
- Returns are whitened over the episodes of a task: one alone (`envs_per_task=1`) teaches nothing.
- Step sizes are learned in logarithms, and by default not at all (`learn_step_size`): they grow
  until adapted latent variables lie far outside the prior, which then explores too little.
- Adaptation at meta-test takes as many steps as are asked for; the paper takes 100.
- All else is our MAML, its differences included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.algorithms.maml.agent import FastWeights, Policy, Samples, per_sample
from metarl_cli.algorithms.maml.inner_loop import InnerLoop
from metarl_cli.algorithms.maml.maml import MAML, MetaBatch
from metarl_cli.core.checks import require_at_least, require_not_negative
from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Metrics, Sampler, Stateful, Trial
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian, Distribution, normal_like
from metarl_cli.functional.returns import discounted_return
from metarl_cli.functional.statistics import masked_mean, whiten
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.parameters import (
    flatten_parameters,
    load_flat,
    named_entries,
    unflatten,
)

Seen = Any  # a dict of "obs", what the environment shows, and "noise" `[..., Z]`
OMEGA = ("latent_mean", "latent_log_std")  # names in the policy
NOISE, GAIN = "noise", "gain"  # of steps, `[..., Z]` and `[...]`


class LatentPolicy(Policy):
    """A policy that sees a latent variable; its own mean and deviation are the prior's, N(0, 1)."""

    def __init__(
        self, spec: EnvSpec, network: Network, *, initial_std: float, latent_dim: int
    ) -> None:
        super().__init__(spec, network, initial_std=initial_std, extra_dim=latent_dim)
        self.latent_mean = nn.Parameter(torch.zeros(latent_dim))
        self.latent_log_std = nn.Parameter(torch.zeros(latent_dim))

    def features(self, seen: Seen) -> Tensor:
        """Return the observation as floats, without the noise."""
        return self.encoder(seen["obs"])

    def forward(self, seen: Seen) -> Distribution:
        """Return the action distribution; latent parameters `[Z]` or, stacked, `[N, Z]`."""
        latent = torch.addcmul(
            per_sample(self.latent_mean), per_sample(self.latent_log_std).exp(), seen[NOISE]
        )
        return self.head(self.torso(torch.cat([self.features(seen), latent], -1)))


class LatentTable(nn.Module):
    """What each training task keeps, and the step sizes.

    Its parameters `omega` `[T, 2 Z]` are means, then logarithms of standard deviations.
    """

    def __init__(self, num_tasks: int, latent_dim: int, step_size: float) -> None:
        super().__init__()
        self.omega = nn.Parameter(torch.zeros(num_tasks, 2 * latent_dim))
        self.log_step_size = nn.Parameter(torch.full((2 * latent_dim,), step_size).log())


@dataclass
class LatentWeights(FastWeights):
    """Parameters of each task, and the noise of the present episode."""

    noise: Tensor | None = None  # [B, Z]


class MAESN(MAML):
    """Model-agnostic exploration with structured noise.

    Args:
        latent_dim: Z.
        train_tasks: size of the finite training set.
        kl_weight: beta of the divergence from the prior.
        learn_step_size: whether the outer loop improves the step sizes, too.

    The other settings are MAML's.
    """

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        inner: InnerLoop,
        first_order: bool,
        dense_training: bool,
        fisher_fraction: float,
        latent_dim: int,
        train_tasks: int,
        kl_weight: float,
        learn_step_size: bool,
        initial_std: float,
        trpo: TRPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_at_least(1, latent_dim=latent_dim, train_tasks=train_tasks)
        require_at_least(2, envs_per_task=envs_per_task)  # returns count beside each other
        require_not_negative(kl_weight=kl_weight)
        self.latent_dim = latent_dim
        super().__init__(
            num_tasks,
            envs_per_task,
            inner,
            first_order,
            dense_training,
            fisher_fraction,
            initial_std,
            trpo,
            spec=spec,
            network=network,
        )
        self.kl_weight, self.learn_step_size = kl_weight, learn_step_size
        self.table = LatentTable(train_tasks, latent_dim, inner.step_size)
        is_latent = named_entries(self.policy, *OMEGA)
        places = functional.one_hot(is_latent.nonzero().flatten(), len(is_latent))
        self.place = places.to(is_latent)  # [2 Z, P], omega to parameters

    def new_policy(self, spec: EnvSpec, network: Network, initial_std: float) -> Policy:
        """Return a policy with a latent variable."""
        return LatentPolicy(spec, network, initial_std=initial_std, latent_dim=self.latent_dim)

    def learned(self) -> Mapping[str, Stateful]:
        """The policy, and what the training tasks keep."""
        return {"policy": self.policy, "latents": self.table}

    def act(self, state: FastWeights, step: TimeStep, *, explore: bool) -> Output:
        """Act on the latent variable of this episode; greedily, on its mean."""
        noise = self._noise(state, step, explore=explore)
        seen: Seen = {"obs": step.obs, NOISE: noise}
        output = super().act(state, replace(step, obs=seen), explore=explore)
        kept = LatentWeights(state.parameters, state.policy, state.steps_taken, noise)
        return Output(output.action, kept, {NOISE: noise})

    def samples(self, episode: Trajectory, num_tasks: int) -> Samples:
        """Regroup by task, with the noise beside the observation and the gain of each episode."""
        seen: Seen = {"obs": episode.step.obs, NOISE: episode.extras[NOISE]}
        samples = super().samples(replace(episode, step=replace(episode.step, obs=seen)), num_tasks)
        returns = discounted_return(episode.reward, self.inner.discount * episode.step.active)[0]
        by_task = returns.unflatten(0, (num_tasks, -1))  # [N, E]
        gain = whiten(by_task, torch.ones_like(by_task)).repeat(1, len(episode.reward))
        return replace(samples, extras={GAIN: gain})

    def inner_loss(self, samples: Samples, parameters: Tensor) -> Tensor:
        """Loss of each task `[N]` whose gradient is REINFORCE's, times sigma^2 for mu."""
        mean, log_std = self._omega(parameters).unsqueeze(1).chunk(2, -1)  # [N, 1, Z]
        noise = cast(Seen, samples.obs)[NOISE]
        score = log_std.detach().exp() * noise * mean + (noise.square() - 1) * log_std
        return -masked_mean(score.sum(-1) * samples.extras[GAIN], samples.mask, -1)

    def meta_step(self, sampler: Sampler, trial: Trial) -> Metrics:
        """Begin with the latent parameters that each task keeps."""
        index = trial.tasks.index
        self.require_known(index)
        parameters = self._rows(flatten_parameters(self.policy), self.table.omega.detach(), index)
        return super().meta_step(sampler, replace(trial, state=self.fast_weights(parameters)))

    def require_known(self, index: Tensor) -> None:
        """Refuse tasks `[N]` that have no row in the table."""
        if not bool(((index >= 0) & (index < len(self.table.omega))).all()):
            raise UserError("algo.train_tasks: MAESN needs a finite training set of this size")

    def step_size(self) -> Tensor:
        """What was learned, for omega; 0 of the policy."""
        return self.table.log_step_size.detach().exp() @ self.place

    def meta_parameters(self) -> Tensor:
        """The policy, omega of all tasks, and the logarithms of the step sizes."""
        return torch.cat([flatten_parameters(self.policy), flatten_parameters(self.table)])

    def load(self, theta: Tensor) -> None:
        """Take over a vector of the kind that `meta_parameters` returns."""
        num = self.place.shape[1]
        load_flat(self.policy, theta[:num])
        load_flat(self.table, theta[num:])

    def start(self, theta: Tensor, batch: MetaBatch) -> tuple[Tensor, Tensor]:
        """Every task begins with its own omega."""
        num = self.place.shape[1]
        table = unflatten(self.table, theta[num:])
        rows = self._rows(theta[:num], table["omega"], batch.index)
        log_step_size = table["log_step_size"]
        if not self.learn_step_size:
            log_step_size = log_step_size.detach()
        return rows, log_step_size.exp() @ self.place.to(theta)

    def meta_loss(
        self, points: Sequence[Tensor], new: Distribution, old: Distribution, batch: MetaBatch
    ) -> Tensor:
        """MAML's loss plus beta * KL(N(mu_i, sigma_i^2) || N(0, 1)) before adaptation."""
        mean, log_std = self._omega(points[0]).chunk(2, -1)
        prior = DiagonalGaussian(torch.zeros_like(mean), torch.zeros_like(log_std))
        divergence = DiagonalGaussian(mean, log_std).kl(prior)
        return super().meta_loss(points, new, old, batch) + self.kl_weight * divergence

    def fast_weights(self, parameters: Tensor, steps_taken: int = 0) -> LatentWeights:
        """Make parameters `[N, P]` ready for use; noise is drawn when an episode begins."""
        return LatentWeights(**vars(super().fast_weights(parameters, steps_taken)))

    def _omega(self, parameters: Tensor) -> Tensor:
        """Take the latent parameters `[N, 2 Z]` out of all of each task."""
        return parameters @ self.place.to(parameters).T

    def _rows(self, policy: Tensor, omega: Tensor, index: Tensor) -> Tensor:
        """Parameters of each task `[N, P]`: the policy's, and omega of the tasks `index` `[N]`."""
        place = self.place.to(policy)
        shared = policy * (1 - place.sum(0))
        return shared + omega[index.to(omega.device)] @ place

    def _noise(self, state: FastWeights, step: TimeStep, *, explore: bool) -> Tensor:
        shape, was = (len(step.first), self.latent_dim), cast(LatentWeights, state).noise
        if not explore:
            return torch.zeros(shape, device=step.first.device)
        if was is None:
            return normal_like(torch.empty(shape, device=step.first.device))
        if not step.first.any():
            return was
        return torch.where(step.first.bool().unsqueeze(-1), normal_like(was), was)
