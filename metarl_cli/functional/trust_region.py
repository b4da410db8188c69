"""Conjugate gradient, and the products with matrices that natural-gradient steps need."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def pull_back(
    outputs: Tensor, inputs: Tensor, vector: Tensor, *, create_graph: bool = False
) -> Tensor:
    """Multiply the transpose of d outputs / d inputs by a vector; the graph is kept.

    As the gradient of an inner product, whose own gradient is `vector` to the last bit: handed a
    vector for gradients of outputs, torch first imports its symbolic shapes, and sympy with them.

    Args:
        outputs: with their graph.
        inputs: the leaf that they are computed from.
        vector: of the shape of `outputs`.
        create_graph: whether the product has a graph of its own.
    """
    with torch.enable_grad():
        inner = (outputs * vector).sum()
    (product,) = torch.autograd.grad(inner, inputs, retain_graph=True, create_graph=create_graph)
    return product


def hessian_vector_product(gradient: Tensor, parameters: Tensor, vector: Tensor) -> Tensor:
    """Multiply the Hessian by a vector, exactly (Pearlmutter 1994).

    Args:
        gradient: gradient of a scalar with respect to `parameters`, with its graph.
        parameters: the leaf it was taken at.
        vector: of the same shape; rows that do not interact give row-wise products.
    """
    return pull_back(gradient, parameters, vector)


def jacobian_product(outputs: Tensor, inputs: Tensor, tangent: Tensor) -> Tensor:
    """Multiply d outputs / d inputs by a tangent of the inputs, by two backward passes.

    The product with the transpose, u -> J^T u, is linear in u: its own transpose is J.

    Args:
        outputs: with their graph.
        inputs: the leaf that they are computed from.
        tangent: of the shape of `inputs`.
    """
    with torch.enable_grad():
        u = torch.zeros_like(outputs, requires_grad=True)
        pulled = pull_back(outputs, inputs, u, create_graph=True)
    return pull_back(pulled, u, tangent)


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
