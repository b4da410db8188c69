import pytest
import torch
from torch.testing import assert_close

from metarl_cli.algorithms.maml.inner_loop import InnerStep, pull_back, push_forward

START = torch.tensor([[0.5, -1.0, 0.3], [1.5, 0.2, -0.7]], dtype=torch.float64)


def loss_fn(x):
    """Rows with Hessians of their own, and off-diagonal terms."""
    return x[:, 0] ** 3 * x[:, 1] + (x[:, 1] * x[:, 2]).sin() + x[:, 2] ** 4


def walk(start, num_steps, *, differentiable=True):
    path = []
    for _ in range(num_steps):
        path.append(InnerStep.take(loss_fn, start, step_size=0.1, differentiable=differentiable))
        start = path[-1].adapted
    return path


def end_of(start, num_steps):
    """The same steps by plain differentiable code."""
    for _ in range(num_steps):
        (gradient,) = torch.autograd.grad(loss_fn(start).sum(), start, create_graph=True)
        start = start - 0.1 * gradient
    return start


def jacobian(row, num_steps):
    """d end / d start of one row, by autograd: `[P, P]`."""
    full = torch.autograd.functional.jacobian(lambda x: end_of(x, num_steps), START)
    return full[row, :, row]


def test_step_on_a_parabola_by_hand():
    # L = 2 x^2: gradient 4 x, Hessian 4; x' = x - .1 * 4 x, dx'/dx = .6.
    step = InnerStep.take(
        lambda x: 2 * x.square().sum(-1),
        torch.tensor([[1.0], [-3.0]]),
        step_size=0.1,
        differentiable=True,
    )
    assert_close(step.adapted, torch.tensor([[0.6], [-1.8]]))
    assert_close(step.jacobian_product(torch.ones(2, 1)), torch.full((2, 1), 0.6))


@pytest.mark.parametrize("num_steps", [1, 2])
def test_push_and_pull_equal_the_jacobian_of_autograd(num_steps):
    torch.manual_seed(0)
    path, vector = walk(START, num_steps), torch.randn_like(START)
    assert_close(path[-1].adapted, end_of(START.clone().requires_grad_(), num_steps).detach())
    for row in range(2):
        full = jacobian(row, num_steps)
        assert_close(push_forward(path, vector)[row], full @ vector[row])
        assert_close(pull_back(path, vector)[row], full.T @ vector[row])


@pytest.mark.parametrize("num_steps", [1, 2])
def test_push_forward_is_the_finite_difference(num_steps):
    torch.manual_seed(1)
    direction, eps = torch.randn_like(START), 1e-6
    ahead = walk(START + eps * direction, num_steps, differentiable=False)[-1].adapted
    behind = walk(START - eps * direction, num_steps, differentiable=False)[-1].adapted
    pushed = push_forward(walk(START, num_steps), direction)
    assert_close(pushed, (ahead - behind) / (2 * eps), atol=1e-7, rtol=1e-7)


def test_push_forward_and_pull_back_are_transposes():
    torch.manual_seed(2)
    path, u, v = walk(START, 3), torch.randn_like(START), torch.randn_like(START)
    assert_close((u * push_forward(path, v)).sum(-1), (v * pull_back(path, u)).sum(-1))


def test_first_order_steps_have_the_identity_as_jacobian():
    path = walk(START, 2, differentiable=False)
    vector = torch.ones_like(START)
    assert_close(path[-1].adapted, walk(START, 2)[-1].adapted)
    assert pull_back(path, vector).equal(vector) and push_forward(path, vector).equal(vector)


def test_step_leaves_its_start_alone_and_works_without_gradients_enabled():
    with torch.no_grad():
        step = InnerStep.take(loss_fn, START, step_size=0.1, differentiable=True)
    assert not START.requires_grad and not step.adapted.requires_grad
