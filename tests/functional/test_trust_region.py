import torch
from torch.testing import assert_close

from metarl_cli.functional.trust_region import (
    conjugate_gradient,
    hessian_vector_product,
    jacobian_product,
)


def quartic(x):
    return (x[0] ** 4 + x[0] * x[1] ** 2 + (x[1] * x[2]).sin()).sum()


def test_hessian_vector_product_equals_the_full_hessian():
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(quartic(x), x, create_graph=True)
    hessian = torch.autograd.functional.hessian(quartic, x.detach())
    for vector in torch.eye(3, dtype=torch.float64):
        assert_close(hessian_vector_product(gradient, x, vector), hessian @ vector)


def test_hessian_vector_product_of_independent_rows_is_row_wise():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    vector = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    product = hessian_vector_product(gradient, x, vector)
    assert product.tolist() == [[6, 0], [0, 48]]


def test_jacobian_product_equals_the_full_jacobian():
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def outputs(x):
        return torch.stack([x[0] * x[1], x[2].exp(), 3 * x[0], torch.ones_like(x[0])])

    jacobian = torch.autograd.functional.jacobian(outputs, x.detach())
    with torch.no_grad():
        for tangent in torch.eye(3, dtype=torch.float64):
            with torch.enable_grad():
                at_x = outputs(x)
            assert_close(jacobian_product(at_x, x, tangent), jacobian @ tangent)


def test_jacobian_product_of_a_linear_function_by_hand():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    shared_by_two = x.expand(2, 2)
    product = jacobian_product(shared_by_two, x, torch.tensor([5.0, 7.0]))
    assert product.tolist() == [[5, 7], [5, 7]] and not product.requires_grad


def test_conjugate_gradient_solves_in_as_many_iterations_as_dimensions():
    torch.manual_seed(0)
    root = torch.randn(6, 6, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(6, dtype=torch.float64)
    target = torch.randn(6, dtype=torch.float64)
    solution = conjugate_gradient(lambda v: matrix @ v, target, iterations=6, tolerance=1e-30)
    assert_close(solution, torch.linalg.solve(matrix, target))


def test_conjugate_gradient_stops_when_the_residual_is_gone():
    calls = []

    def product(vector):
        calls.append(1)
        return 2 * vector

    solution = conjugate_gradient(product, torch.tensor([4.0, 6.0]), iterations=10)
    assert solution.tolist() == [2, 3] and len(calls) == 1


def test_conjugate_gradient_of_nothing_is_nothing():
    target = torch.zeros(3)
    assert conjugate_gradient(lambda v: v, target, iterations=5).tolist() == [0, 0, 0]
