"""The inner loop: gradient steps on the parameters of each task, and products with their Jacobian.

A step is theta' = theta - alpha * grad L(theta), where alpha is one number or one for each
parameter. Parameters with alpha = 0 are shared by all tasks and not adapted, so that CAVIA's
context and MAESN's latent variables are special cases of MAML's step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.core.checks import (
    require_at_least,
    require_between,
    require_fraction,
    require_not_negative,
    require_positive,
)
from metarl_cli.functional.trust_region import (
    hessian_vector_product,
    jacobian_product,
    pull_back,
)

LossFn = Callable[[Tensor], Tensor]  # parameters `[N, P]` -> loss of each task `[N]`
Start = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class InnerLoop:
    """The hyper-parameters of adaptation.

    Args:
        steps: gradient steps in meta-training; a meta-test may take any number.
        step_size: alpha.
        later_ratio: alpha of steps beyond those trained for, as a share of alpha.
        discount: gamma of the advantages.
        gae_lambda: lambda of the advantages.
    """

    steps: int
    step_size: float
    later_ratio: float
    discount: float
    gae_lambda: float

    def __post_init__(self) -> None:
        require_at_least(1, steps=self.steps)
        require_positive(step_size=self.step_size)
        require_between(0, math.inf, step_size=self.step_size)
        require_not_negative(later_ratio=self.later_ratio)
        require_fraction(discount=self.discount, gae_lambda=self.gae_lambda)

    def ratio(self, steps_taken: int) -> float:
        """Factor of alpha in the step that follows so many others."""
        return 1.0 if steps_taken < self.steps else self.later_ratio


@dataclass
class InnerStep:
    """One step, row by row: each row `[P]` is one task.

    The Jacobian with respect to theta is I - diag(alpha) H, H the Hessian of L.
    """

    parameters: Tensor  # [N, P] leaf
    gradient: Tensor  # [N, P], with a graph if Jacobian products are wanted
    step_size: Tensor  # alpha: of all parameters `[]`, or of each `[P]`

    @classmethod
    def take(
        cls, loss_fn: LossFn, parameters: Tensor, *, step_size: Tensor, differentiable: bool
    ) -> InnerStep:
        """Differentiate `loss_fn` (`[N, P] -> [N]`, rows independent) at `parameters`."""
        leaf = parameters.detach().requires_grad_()
        with torch.enable_grad():
            loss = loss_fn(leaf).sum()
            (gradient,) = torch.autograd.grad(loss, leaf, create_graph=differentiable)
        return cls(leaf, gradient, step_size)

    @property
    def adapted(self) -> Tensor:
        """Parameters after the step `[N, P]`, without a graph."""
        return self.parameters.detach() - self.step_size * self.gradient.detach()

    def push_forward(self, tangent: Tensor) -> Tensor:
        """(I - diag(alpha) H) v for each task `[N, P]`; the identity if no graph was kept."""
        if not self.gradient.requires_grad:
            return tangent
        return tangent - self.step_size * self._hessian_product(tangent)

    def pull_back(self, vector: Tensor) -> Tensor:
        """The transpose, (I - H diag(alpha)) v for each task `[N, P]`."""
        if not self.gradient.requires_grad:
            return vector
        return vector - self._hessian_product(self.step_size * vector)

    def _hessian_product(self, vector: Tensor) -> Tensor:
        return hessian_vector_product(self.gradient, self.parameters, vector)


class Adaptation:
    """Gradient steps in a row, as a function of all that is meta-learned, theta `[P]`.

    Args:
        start: theta -> where each task begins `[N, P]`, and alpha; differentiable.
        theta: where the function is looked at.
        loss_fns: what each step descends.
        differentiable: false: the steps count as shifts, with the identity as Jacobian.
    """

    def __init__(
        self, start: Start, theta: Tensor, loss_fns: Sequence[LossFn], *, differentiable: bool
    ) -> None:
        self.steps: list[InnerStep] = []
        self._theta = theta.detach().requires_grad_()
        with torch.enable_grad():
            parameters, step_size = start(self._theta)
            self._begin = torch.cat([parameters.flatten(), step_size.flatten()])
        parameters, self.step_size = parameters.detach(), step_size.detach()
        for loss_fn in loss_fns:
            step = InnerStep.take(
                loss_fn, parameters, step_size=self.step_size, differentiable=differentiable
            )
            self.steps.append(step)
            parameters = step.adapted
        self.adapted = parameters.requires_grad_()

    @property
    def points(self) -> list[Tensor]:
        """Parameters before each step and after the last, leaves `[N, P]`."""
        return [*(step.parameters for step in self.steps), self.adapted]

    def push_forward(self, tangent: Tensor) -> Tensor:
        """Tangent of the adapted parameters `[N, P]` for one of theta."""
        rows, of_step_size = self._split(jacobian_product(self._begin, self._theta, tangent))
        for step in self.steps:
            rows = step.push_forward(rows) - of_step_size * step.gradient.detach()
        return rows

    def pull_back(self, gradients: Sequence[Tensor]) -> Tensor:
        """Gradient with respect to theta, from those at all points, `[N, P]` each."""
        *before, gradient = gradients
        of_step_size = torch.zeros_like(gradient)
        for step, of_point in zip(reversed(self.steps), reversed(before), strict=True):
            of_step_size = of_step_size - step.gradient.detach() * gradient
            gradient = step.pull_back(gradient) + of_point
        of_alpha = of_step_size.sum_to_size(self.step_size.shape)
        of_begin = torch.cat([gradient.flatten(), of_alpha.flatten()])
        return pull_back(self._begin, self._theta, of_begin)

    def _split(self, begin: Tensor) -> tuple[Tensor, Tensor]:
        """Take apart what belongs to parameters `[N, P]` and to alpha."""
        num = self.step_size.numel()
        return begin[:-num].view_as(self.adapted), begin[-num:].view_as(self.step_size)
