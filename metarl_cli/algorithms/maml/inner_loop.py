"""One recorded gradient step of an inner loop and products with its Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.functional.trust_region import hessian_vector_product


@dataclass
class InnerStep:
    """theta' = theta - step_size * grad L(theta), row by row: each row `[P]` is one task.

    The Jacobian of theta' is I - step_size * H, H the Hessian of L. It is symmetric, so the same
    product serves for pushing tangents forward and for pulling gradients back.
    """

    parameters: Tensor  # [N, P] leaf
    gradient: Tensor  # [N, P], with a graph if Jacobian products are wanted
    step_size: float

    @classmethod
    def take(
        cls,
        loss_fn: Callable[[Tensor], Tensor],
        parameters: Tensor,
        *,
        step_size: float,
        differentiable: bool,
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

    def jacobian_product(self, vector: Tensor) -> Tensor:
        """(I - step_size H) v for each task `[N, P]`; the identity if no graph was kept."""
        if not self.gradient.requires_grad:
            return vector
        return vector - self.step_size * hessian_vector_product(
            self.gradient, self.parameters, vector
        )


def push_forward(path: Sequence[InnerStep], tangent: Tensor) -> Tensor:
    """Jacobian of several steps times a tangent at the start `[N, P]`."""
    for step in path:
        tangent = step.jacobian_product(tangent)
    return tangent


def pull_back(path: Sequence[InnerStep], gradient: Tensor) -> Tensor:
    """Transposed Jacobian of several steps times a gradient at the end `[N, P]`."""
    for step in reversed(path):
        gradient = step.jacobian_product(gradient)
    return gradient
