"""E-MAML: MAML that credits the samples before adaptation with what they were good for.

Stadie et al. 2018 (arXiv:1803.01118), section 3.1: the return after adaptation is an expectation
over the samples adapted to, too, so that its gradient has a term more than MAML's,
E[sum of log pi(a|s) before adaptation * return after it].

Differences from the paper:
- As in the code of ProMP's authors, who compare with it, the return is the mean reward after
  adaptation, standardised over all samples of the meta-batch, and the sum over samples their mean.
  Theirs are the samples before the first step alone; here those before each step count alike.
- All else is our MAML, its differences included.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metarl_cli.algorithms.maml.agent import Samples
from metarl_cli.algorithms.maml.maml import MAML, MetaBatch
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.statistics import masked_mean, mean_everywhere


class EMAML(MAML):
    """MAML plus the term that rewards exploration."""

    def meta_loss(
        self, points: Sequence[Tensor], new: Distribution, old: Distribution, batch: MetaBatch
    ) -> Tensor:
        """MAML's loss, minus log-probabilities before adaptation times the reward after it."""
        loss = super().meta_loss(points, new, old, batch)
        explored = [
            masked_mean(self.log_prob(samples, parameters), samples.mask, -1)
            for parameters, samples in zip(points[:-1], batch.support, strict=True)
        ]
        return loss - standardised_reward(batch.query) * torch.stack(explored).mean(0)


def standardised_reward(query: Samples) -> Tensor:
    """Mean reward of each task `[N]`, in units in which all rewards have mean 0 and variance 1."""
    mean = mean_everywhere(query.reward, query.mask)
    std = mean_everywhere((query.reward - mean).square(), query.mask).sqrt()
    return (masked_mean(query.reward, query.mask, -1) - mean) / (std + 1e-8)
