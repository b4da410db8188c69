"""Trust-region step: natural gradient by conjugate gradient, then a backtracking line search.

Schulman et al. 2015 (arXiv:1502.05477), section 6 and appendix C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.core.checks import (
    require_at_least,
    require_between,
    require_not_negative,
    require_positive,
)
from metarl_cli.core.distributed import mean
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Metrics
from metarl_cli.functional.trust_region import conjugate_gradient

AIM = 0.9  # share of the allowed KL to aim at; the line search needs no step back then
MAX_RESCALE = 3.0


@dataclass(frozen=True)
class TRPO:
    """The hyper-parameters of a trust-region step."""

    max_kl: float
    cg_iterations: int
    cg_damping: float
    backtrack_ratio: float
    max_backtracks: int

    def __post_init__(self) -> None:
        require_positive(max_kl=self.max_kl)
        require_not_negative(cg_damping=self.cg_damping)
        require_at_least(1, cg_iterations=self.cg_iterations, max_backtracks=self.max_backtracks)
        require_between(0, 1, backtrack_ratio=self.backtrack_ratio)

    def step(
        self,
        parameters: Tensor,
        *,
        loss: Tensor,
        gradient: Tensor,
        fisher_product: Callable[[Tensor], Tensor],
        loss_and_kl: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Metrics]:
        """Improve `parameters` within the trust region.

        What is given are means over the samples of this process; the step is that of their means
        over all processes.

        Args:
            parameters: `[P]`.
            loss: surrogate loss at `parameters`.
            gradient: its gradient `[P]`.
            fisher_product: v -> F v, the Hessian of the mean KL divergence.
            loss_and_kl: surrogate loss and mean KL at other parameters.

        Returns:
            New parameters `[P]` (the old ones if no step improves) and metrics.

        Raises:
            NonFiniteError: if the loss, the gradient or the step is not finite.
        """

        def damped_product(v: Tensor) -> Tensor:
            return mean(fisher_product(v)) + self.cg_damping * v

        loss, gradient = mean(loss), mean(gradient)
        _require_finite(loss=loss, gradient=gradient)
        direction = conjugate_gradient(damped_product, gradient, iterations=self.cg_iterations)
        curvature = direction.dot(damped_product(direction))
        full_step = direction * (2 * self.max_kl / curvature.clamp(min=1e-12)).sqrt()
        _require_finite(step=full_step)
        full_step = full_step * self._rescale(mean(loss_and_kl(parameters - full_step)[1]))
        for backtracks in range(self.max_backtracks):
            candidate = parameters - self.backtrack_ratio**backtracks * full_step
            new_loss, kl = map(mean, loss_and_kl(candidate))
            if new_loss < loss and kl <= self.max_kl:
                improvement = float(loss - new_loss)
                return candidate, _metrics(float(kl), improvement, backtracks, accepted=True)
        return parameters, _metrics(0.0, 0.0, self.max_backtracks, accepted=False)

    def _rescale(self, kl: Tensor) -> Tensor:
        """Factor that takes a step with this KL to just inside the boundary (KL ~ step^2).

        A Fisher matrix estimated on few samples, and through a noisy inner Hessian at that, comes
        out too large: later in training, steps reached a third of the allowed KL only.
        """
        if not torch.isfinite(kl):
            return torch.ones_like(kl)  # much too far: the line search steps back
        return (AIM * self.max_kl / kl.clamp(min=1e-12)).sqrt().clamp(max=MAX_RESCALE)


def _metrics(kl: float, improvement: float, backtracks: int, *, accepted: bool) -> Metrics:
    return {
        "trpo/kl": kl,
        "trpo/improvement": improvement,
        "trpo/backtracks": float(backtracks),
        "trpo/accepted": float(accepted),
    }


def _require_finite(**named: Tensor) -> None:
    for name, x in named.items():
        if not torch.isfinite(x).all():
            raise NonFiniteError(f"the {name} of the trust-region step is not finite")
