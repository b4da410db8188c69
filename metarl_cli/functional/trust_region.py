"""Conjugate gradient and Hessian-vector products for natural-gradient steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def hessian_vector_product(gradient: Tensor, parameters: Tensor, vector: Tensor) -> Tensor:
    """Multiply the Hessian by a vector, exactly (Pearlmutter 1994).

    Args:
        gradient: gradient of a scalar with respect to `parameters`, with its graph.
        parameters: the leaf it was taken at.
        vector: of the same shape; rows that do not interact give row-wise products.
    """
    (product,) = torch.autograd.grad(gradient, parameters, vector, retain_graph=True)
    return product


def conjugate_gradient(
    matrix_product: Callable[[Tensor], Tensor],
    target: Tensor,
    *,
    iterations: int,
    tolerance: float = 1e-10,
) -> Tensor:
    """Solve A x = `target` `[P]` for a symmetric positive definite A, starting from zero."""
    x = torch.zeros_like(target)
    residual, direction = target.clone(), target.clone()
    energy = residual.dot(residual)
    for _ in range(iterations):
        if energy < tolerance:
            break
        product = matrix_product(direction)
        step = energy / direction.dot(product)
        x = x + step * direction
        residual = residual - step * product
        new_energy = residual.dot(residual)
        direction = residual + (new_energy / energy) * direction
        energy = new_energy
    return x
