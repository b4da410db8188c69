"""Reptile: move the initialisation to where several gradient steps lead.

Nichol, Achiam and Schulman 2018 (arXiv:1803.02999), Algorithm 2: theta <- theta + epsilon * mean
over tasks of (theta_k - theta). No derivative goes through the inner loop.

Differences from the paper:
- Of reinforcement learning the paper reports only that first trials failed: there is no published
  result. Here each of the inner steps is MAML's, on fresh samples.
- epsilon is constant, not annealed.
"""

from __future__ import annotations

from metarl_cli.algorithms.maml.agent import GradientAgent, Policy
from metarl_cli.algorithms.maml.inner_loop import InnerLoop
from metarl_cli.core.checks import require_fraction, require_positive
from metarl_cli.core.distributed import mean
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import Metrics, Sampler, Trial
from metarl_cli.core.types import EnvSpec
from metarl_cli.networks.parameters import flatten_parameters, load_flat


class Reptile(GradientAgent):
    """First-order meta-learning by interpolation.

    Args:
        outer_step_size: epsilon.

    The other settings are those of `GradientAgent`.
    """

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        inner: InnerLoop,
        dense_training: bool,
        outer_step_size: float,
        initial_std: float,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        policy = Policy(spec, network, initial_std=initial_std)
        super().__init__(num_tasks, envs_per_task, inner, dense_training, policy)
        require_positive(outer_step_size=outer_step_size)
        require_fraction(outer_step_size=outer_step_size)
        self.outer_step_size = outer_step_size

    def meta_step(self, sampler: Sampler, trial: Trial) -> Metrics:
        """Adapt to each task and step to the mean of the adapted parameters."""
        _, state, metrics = self.collect(sampler, trial, and_after=False)
        theta = flatten_parameters(self.policy)
        change = mean(state.parameters.mean(0)) - theta
        load_flat(self.policy, theta + self.outer_step_size * change)
        return metrics | {"reptile/distance": float(change.norm())}
