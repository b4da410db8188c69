"""LLAMA: MAML as empirical Bayes, with the curvature at the adapted parameters.

Grant et al. 2018 (arXiv:1801.08930), section 4: by Laplace's method the evidence of a task is its
likelihood at the adapted parameters, less half the log determinant of the curvature H there. The
outer loss is MAML's plus eta / 2 * log det H.

**Experimental**: the paper has no reinforcement learning, so there is no result to compare with.

Differences from the paper:
- The likelihood is replaced by the expected return, as MAML does for reinforcement learning.
- H is the Fisher information of the policy in the samples after adaptation, of the weights of its
  last layer alone (the paper takes few layers, too): a Kronecker product of the second moment of
  features and the Fisher information of the outputs (K-FAC), exact for Gaussian policies, plus the
  precision of the prior.
- The Gaussian prior around the initialisation, which early stopping stands for in the paper, is in
  H only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarl_cli.algorithms.maml.agent import Samples
from metarl_cli.algorithms.maml.inner_loop import InnerLoop
from metarl_cli.algorithms.maml.maml import MAML, MetaBatch
from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.core.networks import Network
from metarl_cli.core.types import EnvSpec
from metarl_cli.functional.distributions import Distribution
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.parameters import unflatten

TORSO = "torso."


class LLAMA(MAML):
    """MAML that prefers adapted policies with little curvature.

    Args:
        curvature_weight: eta; 0 is MAML.
        prior_precision: what is added to the eigenvalues of the Fisher information.

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
        curvature_weight: float,
        prior_precision: float,
        initial_std: float,
        trpo: TRPO,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_not_negative(curvature_weight=curvature_weight)
        require_positive(prior_precision=prior_precision)
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
        self.curvature_weight, self.prior_precision = curvature_weight, prior_precision

    def meta_loss(
        self, points: Sequence[Tensor], new: Distribution, old: Distribution, batch: MetaBatch
    ) -> Tensor:
        """MAML's loss plus eta / 2 * log det H."""
        loss = super().meta_loss(points, new, old, batch)
        features = self._features(points[-1], batch.query)
        curvature = log_det_fisher(features, new, batch.query.mask, self.prior_precision)
        return loss + 0.5 * self.curvature_weight * curvature

    def _features(self, parameters: Tensor, samples: Samples) -> Tensor:
        """What the policy's last layer sees `[N, M, F]`."""
        named = unflatten(self.policy, parameters)
        torso = {k.removeprefix(TORSO): x for k, x in named.items() if k.startswith(TORSO)}
        inputs = self.policy.features(samples.obs)
        return functional_call(cast(nn.Module, self.policy.torso), torso, (inputs,))


def log_det_fisher(
    features: Tensor, distribution: Distribution, mask: Tensor, prior_precision: float
) -> Tensor:
    """Log determinant of A (x) G + prior_precision * I for each task `[N]`.

    Args:
        features: inputs of a linear layer `[N, M, F]`; a bias is counted in.
        distribution: of actions, whose parameters are the layer's outputs.
        mask: `[N, M]`, 0 for samples to leave out.
        prior_precision: a number > 0.
    """
    inputs = torch.cat([features, torch.ones_like(features[..., :1])], -1) * mask.unsqueeze(-1)
    num = mask.sum(-1).clamp(min=1).view(-1, 1, 1)
    moment = inputs.transpose(1, 2) @ inputs / num  # A [N, F + 1, F + 1]
    information = (distribution.fisher() * mask[..., None, None]).sum(1) / num  # G [N, K, K]
    products = torch.linalg.eigvalsh(moment).unsqueeze(-1) * torch.linalg.eigvalsh(
        information
    ).unsqueeze(-2)
    return (products.clamp(min=0) + prior_precision).log().flatten(1).sum(1)
