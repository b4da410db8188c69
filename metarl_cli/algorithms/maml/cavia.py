"""CAVIA: adapt a few context parameters, an input of the policy; meta-learn all others.

Zintgraf et al. 2019 (arXiv:1810.03642), section 3.3: phi' = phi_0 - alpha * gradient of
L(phi_0, theta) with phi_0 = 0, and the gradient of the outer loop with respect to theta goes
through phi'.

Differences from the paper:
- The baseline of the samples after adaptation is fitted to themselves; in the authors' code to
  those before.
- All else is our MAML, its differences included.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.algorithms.maml.agent import Policy, per_sample
from metarl_cli.algorithms.maml.inner_loop import InnerLoop
from metarl_cli.algorithms.maml.maml import MAML, MetaBatch
from metarl_cli.core.checks import require_at_least
from metarl_cli.core.networks import Network
from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.functional.distributions import Distribution
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.parameters import named_entries


class ContextPolicy(Policy):
    """A policy whose input has `context_dim` parameters appended, zero before adaptation."""

    def __init__(
        self, spec: EnvSpec, network: Network, *, initial_std: float, context_dim: int
    ) -> None:
        super().__init__(spec, network, initial_std=initial_std, extra_dim=context_dim)
        self.context = nn.Parameter(torch.zeros(context_dim))

    def forward(self, obs: Observation) -> Distribution:
        """Return the action distribution, given one context or, stacked, one per task."""
        features = self.features(obs)
        context = per_sample(self.context).expand(*features.shape[:-1], -1)
        return self.head(self.torso(torch.cat([features, context], -1)))


class CAVIA(MAML):
    """MAML whose inner loop changes the context only.

    Args:
        context_dim: number of context parameters.

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
        context_dim: int,
        initial_std: float,
        trpo: TRPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_at_least(1, context_dim=context_dim)
        self.context_dim = context_dim
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
        self.is_context = named_entries(self.policy, "context")

    def new_policy(self, spec: EnvSpec, network: Network, initial_std: float) -> Policy:
        """Return a policy with a context."""
        return ContextPolicy(spec, network, initial_std=initial_std, context_dim=self.context_dim)

    def step_size(self) -> Tensor:
        """Alpha of the context; 0 of what is shared."""
        return self.inner.step_size * self.is_context

    def start(self, theta: Tensor, batch: MetaBatch) -> tuple[Tensor, Tensor]:
        """Every task begins with a context of zeros."""
        return self.from_one_initialisation(theta * (1 - self.is_context))
