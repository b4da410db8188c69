"""Steps, and products with their Jacobian, against autograd through an explicit loop."""

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import inner_loop
from metarl_cli.algorithms.maml.inner_loop import Adaptation, InnerStep

START = torch.tensor([[0.5, -1.0, 0.3], [1.5, 0.2, -0.7]], dtype=torch.float64)
LOG_STEP_SIZE = torch.tensor([0.1, 0.03], dtype=torch.float64).log()


def loss_fn(x):
    """Rows with Hessians of their own, and off-diagonal terms."""
    return x[:, 0] ** 3 * x[:, 1] + (x[:, 1] * x[:, 2]).sin() + x[:, 2] ** 4


def other_loss_fn(x):
    return (x[:, 0] * x[:, 1] * x[:, 2]).cos() + x[:, 1] ** 3


LOSSES = (loss_fn, other_loss_fn, loss_fn)


def one_number(theta):
    """Theta is where both tasks begin."""
    return theta.view(2, 3), torch.tensor(0.1, dtype=torch.float64)


def one_for_each(theta):
    """Theta is where both tasks begin, and logarithms of step sizes; one parameter stays."""
    step_size = torch.cat([theta[6:7].exp(), theta.new_zeros(1), theta[7:].exp()])
    return theta[:6].view(2, 3), step_size


KINDS = {
    "number": (one_number, START.flatten()),
    "vector": (one_for_each, torch.cat([START.flatten(), LOG_STEP_SIZE])),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def adaptation(kind, num_steps, *, theta=None, differentiable=True):
    start, default = KINDS[kind]
    theta = default if theta is None else theta
    return Adaptation(start, theta, LOSSES[:num_steps], differentiable=differentiable)


def explicit(kind, num_steps, theta):
    """All points of the same steps by plain differentiable code."""
    point, step_size = KINDS[kind][0](theta)
    points = [point]
    for loss in LOSSES[:num_steps]:
        (gradient,) = torch.autograd.grad(loss(point).sum(), point, create_graph=True)
        point = point - step_size * gradient
        points.append(point)
    return points


def jacobian(kind, num_steps):
    """d end / d theta by autograd: `[N, P, size of theta]`."""

    def end(theta):
        return explicit(kind, num_steps, theta)[-1]

    return torch.autograd.functional.jacobian(end, KINDS[kind][1])


def only_last(adapted, vector):
    """Gradients of a function of the last point alone."""
    return [torch.zeros_like(vector)] * len(adapted.steps) + [vector]


def test_step_on_a_parabola_by_hand():
    # L = 2 x^2: gradient 4 x, Hessian 4; x' = x - .1 * 4 x, dx'/dx = .6.
    step = InnerStep.take(
        lambda x: 2 * x.square().sum(-1),
        torch.tensor([[1.0], [-3.0]]),
        step_size=torch.tensor(0.1),
        differentiable=True,
    )
    assert_close(step.adapted, torch.tensor([[0.6], [-1.8]]))
    assert_close(step.push_forward(torch.ones(2, 1)), torch.full((2, 1), 0.6))
    assert_close(step.pull_back(torch.ones(2, 1)), torch.full((2, 1), 0.6))


def test_step_with_a_step_size_for_each_parameter_by_hand():
    # L = x y at (2, 3): gradient (3, 2), Hessian [[0, 1], [1, 0]]; alpha (.1, 0).
    step = InnerStep.take(
        lambda x: x[:, 0] * x[:, 1],
        torch.tensor([[2.0, 3.0]]),
        step_size=torch.tensor([0.1, 0.0]),
        differentiable=True,
    )
    assert_close(step.adapted, torch.tensor([[1.7, 3.0]]))
    assert_close(step.push_forward(torch.tensor([[5.0, 7.0]])), torch.tensor([[5 - 0.7, 7.0]]))
    assert_close(step.pull_back(torch.tensor([[5.0, 7.0]])), torch.tensor([[5.0, 7 - 0.5]]))


@every_kind
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_push_and_pull_equal_the_jacobian_of_autograd(kind, num_steps):
    torch.manual_seed(0)
    ours, full = adaptation(kind, num_steps), jacobian(kind, num_steps)
    theta = KINDS[kind][1].clone().requires_grad_()
    for point, expected in zip(ours.points, explicit(kind, num_steps, theta), strict=True):
        assert_close(point.detach(), expected.detach())
    tangent, vector = torch.randn_like(KINDS[kind][1]), torch.randn_like(START)
    assert_close(ours.push_forward(tangent), full @ tangent)
    assert_close(ours.pull_back(only_last(ours, vector)), torch.einsum("npq,np->q", full, vector))


@every_kind
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_push_forward_is_the_finite_difference(kind, num_steps):
    torch.manual_seed(1)
    theta, eps = KINDS[kind][1], 1e-6
    direction = torch.randn_like(theta)
    ahead, behind = (
        adaptation(kind, num_steps, theta=theta + sign * eps * direction, differentiable=False)
        for sign in (1, -1)
    )
    pushed = adaptation(kind, num_steps).push_forward(direction)
    difference = (ahead.adapted - behind.adapted).detach() / (2 * eps)
    assert_close(pushed, difference, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_gradient_with_respect_to_each_step_size_is_the_finite_difference(num_steps):
    torch.manual_seed(2)
    theta, eps, vector = KINDS["vector"][1], 1e-6, torch.randn_like(START)
    ours = adaptation("vector", num_steps)
    gradient = ours.pull_back(only_last(ours, vector))[6:]
    for place in (0, 1):
        shift = torch.zeros_like(theta)
        shift[6 + place] = eps
        ahead, behind = (
            (adaptation("vector", num_steps, theta=x).adapted.detach() * vector).sum()
            for x in (theta + shift, theta - shift)
        )
        assert abs(gradient[place]) > 1e-3
        assert_close(gradient[place], (ahead - behind) / (2 * eps), atol=1e-7, rtol=1e-7)


def test_parameter_with_step_size_zero_stays_where_it_is_bit_for_bit():
    for point in adaptation("vector", 3).points:
        assert point[:, 1].equal(START[:, 1]) and point.requires_grad
    assert not adaptation("vector", 1).adapted[:, ::2].eq(START[:, ::2]).any()


@every_kind
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_gradients_at_all_points_are_pulled_back_as_autograd_does(kind, num_steps):
    torch.manual_seed(3)
    ours, vectors = adaptation(kind, num_steps), torch.randn(num_steps + 1, 2, 3).double()
    theta = KINDS[kind][1].clone().requires_grad_()
    points = torch.stack(explicit(kind, num_steps, theta))
    (expected,) = torch.autograd.grad((points * vectors).sum(), theta)
    assert_close(ours.pull_back(list(vectors)), expected)


@every_kind
def test_push_forward_and_pull_back_are_transposes(kind):
    torch.manual_seed(4)
    ours, u, v = adaptation(kind, 3), torch.randn_like(START), torch.randn_like(KINDS[kind][1])
    pulled = ours.pull_back(only_last(ours, u))
    assert_close((u * ours.push_forward(v)).sum(), v @ pulled)


def test_first_order_steps_have_the_identity_as_jacobian():
    ours, vector = adaptation("number", 2, differentiable=False), torch.ones_like(START)
    assert_close(ours.adapted, adaptation("number", 2).adapted)
    assert ours.pull_back(only_last(ours, vector)).equal(vector.flatten())
    assert ours.push_forward(vector.flatten()).equal(vector)
    sums = ours.pull_back([vector, 2 * vector, 4 * vector])
    assert sums.equal(7 * vector.flatten())


def test_step_leaves_its_start_alone_and_works_without_gradients_enabled():
    with torch.no_grad():
        step = InnerStep.take(loss_fn, START, step_size=torch.tensor(0.1), differentiable=True)
    assert not START.requires_grad and not step.adapted.requires_grad
    assert_close(step.adapted, adaptation("number", 1).adapted.detach(), rtol=1e-6, atol=1e-6)


def test_steps_beyond_those_trained_for_are_a_share_of_the_others():
    inner = inner_loop(steps=2, later_ratio=0.25)
    assert [inner.ratio(k) for k in range(4)] == [1, 1, 0.25, 0.25]


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("step_size", -1), ("later_ratio", -0.1), ("discount", 2), ("gae_lambda", 1.1)],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        inner_loop(**{name: value})
