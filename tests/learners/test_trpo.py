import math

import pytest
import torch
from torch.testing import assert_close

from metarl_cli.core.errors import NonFiniteError
from metarl_cli.learners.trpo import TRPO

SETTINGS = {
    "max_kl": 0.01,
    "cg_iterations": 10,
    "cg_damping": 0.0,
    "backtrack_ratio": 0.5,
    "max_backtracks": 10,
}
START = torch.tensor([0.5, -1.0], dtype=torch.float64)
SLOPE = torch.tensor([3.0, 4.0], dtype=torch.float64)
STD = torch.tensor([1.0, 2.0], dtype=torch.float64)


def kl(mean):
    """Of Gaussians with standard deviations STD around START and `mean`."""
    return 0.5 * ((mean - START) / STD).square().sum()


def linear(mean):
    return SLOPE @ mean


def step(loss_fn=linear, kl_fn=kl, gradient=None, fisher=lambda v: v / STD**2, **settings):
    leaf = START.clone().requires_grad_()
    loss = loss_fn(leaf)
    if gradient is None:
        (gradient,) = torch.autograd.grad(loss, leaf)
    return TRPO(**(SETTINGS | settings)).step(
        START,
        loss=loss.detach(),
        gradient=gradient,
        fisher_product=fisher,
        loss_and_kl=lambda x: (loss_fn(x), kl_fn(x)),
    )


def test_step_on_a_linear_loss_is_the_natural_gradient_just_inside_the_trust_region():
    # F^-1 g = (3, 16) has a KL of 73 / 2; aiming at .9 * .01 the step is (3, 16) * sqrt(.018 / 73).
    new, metrics = step()
    direction = torch.tensor([3.0, 16.0], dtype=torch.float64)
    assert_close(new, START - direction * math.sqrt(0.018 / 73))
    assert metrics["trpo/kl"] == pytest.approx(0.009)
    assert metrics["trpo/improvement"] == pytest.approx(math.sqrt(0.018 * 73))
    assert metrics["trpo/accepted"] == 1 and metrics["trpo/backtracks"] == 0


@pytest.mark.parametrize("factor", [0.2, 10.0])
def test_a_wrong_scale_of_the_fisher_matrix_is_made_good_by_the_measured_divergence(factor):
    new, metrics = step(fisher=lambda v: factor * v / STD**2)
    assert kl(new) == pytest.approx(0.009 if factor < 9 else 0.01 * 9 / factor)  # at most 3 times
    assert metrics["trpo/backtracks"] == 0


def test_quadratic_loss_goes_down_within_the_bound():
    target = torch.tensor([0.6, -1.1], dtype=torch.float64)

    def loss_fn(x):
        return (x - target).square().sum()

    new, metrics = step(loss_fn, max_kl=0.1)
    assert loss_fn(new) < loss_fn(START) and kl(new) <= 0.1
    assert metrics["trpo/improvement"] == pytest.approx(float(loss_fn(START) - loss_fn(new)))


def test_step_shrinks_until_the_divergence_is_small_enough():
    def wall(x):  # nothing short of half the step is allowed
        return kl(x) if kl(x) < 0.003 else torch.tensor(0.0101)

    new, metrics = step(kl_fn=wall)
    assert metrics["trpo/backtracks"] == 1 and kl(new) < 0.003 and metrics["trpo/accepted"] == 1


def test_step_that_never_improves_is_not_taken():
    new, metrics = step(lambda x: linear(x) if x.requires_grad else linear(START) + 1)
    assert new is START
    assert metrics == {
        "trpo/kl": 0,
        "trpo/improvement": 0,
        "trpo/backtracks": 10,
        "trpo/accepted": 0,
    }


def test_non_finite_candidates_are_not_taken():
    new, metrics = step(kl_fn=lambda x: kl(x) * torch.nan)
    assert new is START and metrics["trpo/accepted"] == 0


def test_no_gradient_no_step():
    new, metrics = step(gradient=torch.zeros(2, dtype=torch.float64))
    assert new is START and metrics["trpo/accepted"] == 0


def test_damping_shortens_the_step():
    plain, _ = step(kl_fn=lambda x: 0 * kl(x))
    damped, _ = step(kl_fn=lambda x: 0 * kl(x), cg_damping=1.0)
    assert kl(damped) < kl(plain)


def test_non_finite_numbers_are_named():
    with pytest.raises(NonFiniteError, match="gradient"):
        step(gradient=torch.tensor([1.0, torch.nan], dtype=torch.float64))
    with pytest.raises(NonFiniteError, match="loss"):
        step(lambda x: linear(x) * torch.inf, gradient=SLOPE)
    with pytest.raises(NonFiniteError, match="step"):
        step(fisher=lambda v: v * torch.nan)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_kl", 0),
        ("cg_iterations", 0),
        ("cg_damping", -1),
        ("backtrack_ratio", 1),
        ("max_backtracks", 0),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        TRPO(**(SETTINGS | {name: value}))
