"""What an episode tells of an embedded task: Liu et al. 2021 (arXiv:2008.02790), section 4.2."""

from __future__ import annotations

from torch import Tensor


def embedding_distance(decoded: Tensor, embedding: Tensor) -> Tensor:
    """Squared distance of `decoded` `[T + 1, B, Z]` from `embedding` `[B, Z]`: `[T + 1, B]`.

    Minus twice the log-likelihood of the embedding under a Gaussian of variance 1, but for a
    constant.
    """
    return (decoded - embedding).square().sum(-1)


def information_gain(distance: Tensor, step_cost: float) -> Tensor:
    """Exploration rewards `[T, B]`: what each step takes off the distance, less a cost.

    Args:
        distance: `[T + 1, B]`, before the first step and after each.
        step_cost: c.
    """
    return distance[:-1] - distance[1:] - step_cost
