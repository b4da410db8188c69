"""MAML's meta-gradient and Fisher product against plain differentiable code, in float64."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import (
    NETWORK,
    N,
    assert_same,
    construct,
    every_space,
    gradient_of,
    maml_walk,
    mean,
    policy_of,
    recorded,
    request_of,
    surrogate,
    tiny,
)
from metarl_cli.algorithms.maml.agent import Samples
from metarl_cli.algorithms.maml.cavia import CAVIA
from metarl_cli.algorithms.maml.emaml import EMAML
from metarl_cli.algorithms.maml.llama import LLAMA
from metarl_cli.algorithms.maml.maesn import MAESN
from metarl_cli.algorithms.maml.maml import MAML, MetaBatch
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.networks.parameters import flatten_parameters

every_outer_step = pytest.mark.parametrize("cls", [MAML, EMAML, CAVIA, LLAMA, MAESN])
every_depth = pytest.mark.parametrize("steps", [1, 2])


def adapted(algorithm, theta, batch, n):
    """The policy of task n after explicit inner steps, at the query samples."""
    point = maml_walk(algorithm, theta, batch.support, n)[-1]
    return policy_of(algorithm, point, batch.query, n)


def mean_over_tasks(function):
    return sum(function(n) for n in range(N)) / N


@every_space
@every_depth
def test_meta_gradient_equals_brute_force(space, steps):
    algorithm, batch = recorded(MAML, space, steps)
    request = request_of(algorithm, batch)

    def loss(theta):
        return mean_over_tasks(
            lambda n: surrogate(adapted(algorithm, theta, batch, n), batch.query, n)
        )

    expected_loss, expected = gradient_of(loss, flatten_parameters(algorithm.policy))
    assert expected.norm() > 0.01
    assert_close(request["loss"], expected_loss)
    assert_same(request["gradient"], expected)


@every_space
@every_depth
def test_first_order_gradient_is_that_at_the_adapted_parameters(space, steps):
    algorithm, batch = recorded(MAML, space, steps, first_order=True)
    gradient = request_of(algorithm, batch)["gradient"]
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    expected = torch.zeros_like(theta)
    for n in range(N):
        point = maml_walk(algorithm, theta, batch.support, n)[-1].detach().requires_grad_()
        loss = surrogate(policy_of(algorithm, point, batch.query, n), batch.query, n)
        expected += torch.autograd.grad(loss, point)[0] / N
    assert_same(gradient, expected)
    algorithm.first_order = False
    exact = request_of(algorithm, batch)["gradient"]
    assert (exact - gradient).norm() > 0.01 * exact.norm()


def test_fomaml_is_maml_that_counts_steps_as_shifts():
    """The exact Jacobian of one step is I - alpha H; without the second-order term, I."""
    algorithm, batch = recorded(MAML, first_order=True)
    shortened = request_of(algorithm, batch)["gradient"]
    algorithm.first_order = False
    exact = request_of(algorithm, batch)["gradient"]
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    second_order = torch.zeros_like(theta)
    for n in range(N):
        _, point = maml_walk(algorithm, theta, batch.support, n)
        _, at_point = gradient_of(
            lambda x, n=n: surrogate(policy_of(algorithm, x, batch.query, n), batch.query, n), point
        )
        step = theta - point  # alpha times the gradient of the inner loss
        second_order += torch.autograd.grad(step, theta, at_point)[0] / N
    assert second_order.norm() > 0.01 * exact.norm()
    assert_same(shortened - second_order, exact)
    cfg = compose("train", ["algo=fomaml", "env=point_nav"])
    built = build(cfg.algo, spec=tiny().spec, network=NETWORK)
    assert type(built) is MAML and built.first_order


@every_space
@every_depth
def test_fisher_product_is_the_hessian_of_the_mean_divergence(space, steps):
    algorithm, batch = recorded(MAML, space, steps)
    request = request_of(algorithm, batch)
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    old = [adapted(algorithm, theta, batch, n).detach() for n in range(N)]
    kl = mean_over_tasks(
        lambda n: mean(old[n].kl(adapted(algorithm, theta, batch, n)), batch.query, n)
    )
    (gradient,) = torch.autograd.grad(kl, theta, create_graph=True)
    for seed in range(2):
        torch.manual_seed(seed)
        vector = torch.randn_like(theta)
        (expected,) = torch.autograd.grad(gradient, theta, vector, retain_graph=True)
        assert_same(request["fisher_product"](vector), expected)


@every_outer_step
@every_space
@every_depth
def test_line_search_sees_the_loss_and_divergence_after_adaptation_from_the_candidate(
    cls, space, steps
):
    algorithm, batch = recorded(cls, space, steps)
    request = request_of(algorithm, batch)
    theta = request["parameters"]
    loss, kl = request["loss_and_kl"](theta)
    assert_close(loss, request["loss"])
    assert_close(kl, torch.zeros_like(kl), atol=1e-12, rtol=0)
    torch.manual_seed(0)
    direction = torch.randn_like(theta)
    if cls is MAESN:  # leaves out how its steps depend on deviations, and so on their step sizes
        table = direction[-7 * 4 :].view(7, 4)  # omega of six tasks, and step sizes
        table[:, 2:] = 0
    ahead, ahead_kl = request["loss_and_kl"](theta + 1e-5 * direction)
    behind, _ = request["loss_and_kl"](theta - 1e-5 * direction)
    slope = request["gradient"] @ direction
    assert_close((ahead - behind) / 2e-5, slope, rtol=1e-5, atol=1e-7)
    curvature = direction @ request["fisher_product"](direction)
    assert_close(ahead_kl, 0.5e-10 * curvature, rtol=1e-3, atol=1e-15)


@every_outer_step
@every_space
def test_meta_update_lowers_the_loss_within_the_trust_region(cls, space):
    algorithm, batch = recorded(cls, space)
    theta = algorithm.meta_parameters()
    metrics = algorithm.meta_update(batch)
    assert metrics["trpo/accepted"] == 1 and metrics["trpo/improvement"] > 0
    assert 0 < metrics["trpo/kl"] <= 0.01
    assert not algorithm.meta_parameters().equal(theta)


def test_a_share_of_the_samples_gives_a_product_near_the_full_one():
    algorithm, batch = recorded(MAML)
    full = request_of(algorithm, batch)["fisher_product"]
    algorithm.fisher_fraction = 0.5
    half = request_of(algorithm, batch)["fisher_product"]
    vector = torch.ones_like(flatten_parameters(algorithm.policy))
    cosine = torch.cosine_similarity(full(vector), half(vector), dim=0)
    assert 0.8 < cosine < 1 - 1e-6


def test_share_takes_one_of_k_samples_from_all_environments():
    samples = Samples(*(torch.arange(18.0).expand(2, 18) for _ in range(5)))
    batch = MetaBatch([samples], samples, torch.arange(2)).share(0.25)
    rows = batch.query.mask[0]
    assert rows.tolist() == [0, 5, 10, 15]
    assert (rows % 4).unique().numel() == 4  # with 4 environments per task: each of them
    assert batch.support[0].mask.equal(batch.query.mask)
    assert samples.share(1.0).mask.equal(samples.mask)


@every_outer_step
def test_fisher_product_is_symmetric_and_positive(cls):
    algorithm, batch = recorded(cls)
    product = request_of(algorithm, batch)["fisher_product"]
    theta = algorithm.meta_parameters()
    torch.manual_seed(0)
    u, v = torch.randn_like(theta), torch.randn_like(theta)
    assert_close(u @ product(v), v @ product(u))
    assert u @ product(u) > 0


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (MAML, "fisher_fraction", 0),
        (CAVIA, "context_dim", 0),
        (LLAMA, "curvature_weight", -1),
        (LLAMA, "prior_precision", 0),
        (MAESN, "latent_dim", 0),
        (MAESN, "train_tasks", 0),
        (MAESN, "kl_weight", -1),
    ],
)
def test_settings_out_of_range_are_named(cls, name, value):
    with pytest.raises(ValueError, match=name):
        construct(cls, tiny(), **{name: value})
