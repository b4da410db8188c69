import torch
from torch.testing import assert_close

from metarl_cli.functional.trust_region import conjugate_gradient, hessian_vector_product


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
