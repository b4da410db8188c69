"""LLAMA's curvature against dense matrices, and its meta-gradient against autograd."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call
from torch.testing import assert_close

from algorithms.maml.explicit import (
    N,
    as_maml,
    assert_same,
    every_space,
    gradient_of,
    maml_walk,
    policy_of,
    recorded,
    request_of,
    surrogate,
)
from metarl_cli.algorithms.maml.llama import LLAMA, log_det_fisher
from metarl_cli.functional.distributions import Categorical, DiagonalGaussian
from metarl_cli.networks.parameters import unflatten

PRECISION = 0.1


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def gaussian(mean):
    return DiagonalGaussian(mean, torch.tensor([-0.3, 0.4], dtype=torch.float64))


def with_bias(features):
    return torch.cat([features, torch.ones_like(features[..., :1])], -1)


def dense_log_det(features, information, precision):
    """Log determinant of kron(A, G) + precision * I of one task: `[M, F]`, `[M, K, K]`."""
    inputs = with_bias(features)
    moment = inputs.T @ inputs / len(inputs)
    fisher = torch.kron(moment, information.mean(0))
    return torch.logdet(fisher + precision * torch.eye(len(fisher), dtype=fisher.dtype))


def test_log_determinant_is_that_of_the_dense_kronecker_product():
    features, outputs = normal(2, 7, 3), normal(2, 7, 2, seed=1)
    mask = torch.ones(2, 7, dtype=torch.float64)
    mask[1, 4:] = 0  # counts as if there were four samples
    for distribution in (gaussian(outputs), Categorical.from_logits(outputs)):
        got = log_det_fisher(features, distribution, mask, PRECISION)
        for n, num in enumerate((7, 4)):
            information = distribution.fisher()[n, :num]
            expected = dense_log_det(features[n, :num], information, PRECISION)
            assert_close(got[n], expected, rtol=1e-10, atol=1e-10)


def test_it_is_that_of_the_empirical_fisher_matrix_of_a_linear_gaussian_policy():
    """Actions at sqrt 2 standard deviations to either side have the covariance of all."""
    features, weights = normal(6, 3), normal(2, 4, seed=1).requires_grad_()
    fisher, num = torch.zeros(8, 8, dtype=torch.float64), 0
    for x in with_bias(features):
        policy = gaussian(weights @ x)
        for place in (0, 1):
            shift = torch.zeros(2, dtype=torch.float64)
            shift[place] = 2**0.5 * policy.log_std[place].exp()
            for action in (policy.mean + shift, policy.mean - shift):
                log_prob = policy.log_prob(action.detach())
                (score,) = torch.autograd.grad(log_prob, weights, retain_graph=True)
                fisher, num = fisher + torch.outer(score.flatten(), score.flatten()), num + 1
    expected = torch.logdet(fisher / num + PRECISION * torch.eye(8).double())
    outputs = gaussian((with_bias(features) @ weights.T).unsqueeze(0))
    got = log_det_fisher(features.unsqueeze(0), outputs, torch.ones(1, 6).double(), PRECISION)
    assert_close(got[0], expected.detach(), rtol=1e-10, atol=1e-10)


def test_empirical_fisher_of_logits_is_the_expected_outer_product_of_scores():
    policy = Categorical.from_logits(normal(1, 4))
    logits, expected = normal(1, 4).requires_grad_(), torch.zeros(4, 4, dtype=torch.float64)
    for action in range(4):
        log_prob = Categorical.from_logits(logits).log_prob(torch.tensor([action]))
        (score,) = torch.autograd.grad(log_prob.sum(), logits)
        expected += policy.log_probs[0, action].exp() * torch.outer(score[0], score[0])
    assert_close(policy.fisher()[0], expected)


@pytest.mark.parametrize("num", [0, 1, 2])
@pytest.mark.parametrize("discrete", [False, True])
def test_curvature_without_full_rank_has_finite_values_and_gradients(num, discrete):
    """Fewer samples than features, all equal, and one logit too many."""
    mask = torch.zeros(1, 2, dtype=torch.float64)
    mask[:, :num] = 1
    features = torch.ones(1, 2, 5, dtype=torch.float64, requires_grad=True)
    outputs = torch.ones(1, 2, 2, dtype=torch.float64, requires_grad=True)
    policy = Categorical.from_logits(outputs) if discrete else gaussian(outputs)
    value = log_det_fisher(features, policy, mask, PRECISION)
    gradients = torch.autograd.grad(value.sum(), (features, outputs), materialize_grads=True)
    assert all(x.isfinite().all() for x in (value, *gradients))
    if num == 0:
        assert_close(value, torch.full_like(value, 12 * torch.tensor(PRECISION).log()))
        return
    leaf = features.detach()[0, :num].requires_grad_()
    information = policy.fisher()[0, :num].detach()
    dense = dense_log_det(leaf, information, PRECISION)
    assert_close(value[0], dense)
    assert_close(gradients[0][0, :num], torch.autograd.grad(dense, leaf)[0])


@every_space
@pytest.mark.parametrize("steps", [1, 2])
def test_without_weight_the_meta_gradient_is_that_of_maml_bit_for_bit(space, steps):
    algorithm, batch = recorded(LLAMA, space, steps, curvature_weight=0)
    ours, maml = request_of(algorithm, batch), request_of(as_maml(algorithm), batch)
    for key in ("loss", "gradient"):
        assert ours[key].equal(maml[key])
    vector = torch.ones_like(ours["gradient"])
    assert ours["fisher_product"](vector).equal(maml["fisher_product"](vector))


@every_space
@pytest.mark.parametrize("steps", [1, 2])
def test_meta_gradient_equals_brute_force(space, steps):
    algorithm, batch = recorded(LLAMA, space, steps, curvature_weight=0.8)

    def loss(theta):
        total = 0.0
        for n in range(N):
            point = maml_walk(algorithm, theta, batch.support, n)[-1]
            policy, counts = policy_of(algorithm, point, batch.query, n), batch.query.mask[n] > 0
            named = unflatten(algorithm.policy, point)
            torso = {k[6:]: x for k, x in named.items() if k.startswith("torso.")}
            seen = algorithm.policy.features(batch.query.obs[n])
            features = functional_call(algorithm.policy.torso, torso, (seen,))
            curvature = dense_log_det(features[counts], policy.fisher()[counts], PRECISION)
            total += surrogate(policy, batch.query, n) + 0.8 / 2 * curvature
        return total / N

    expected_loss, expected = gradient_of(loss, algorithm.meta_parameters())
    request = request_of(algorithm, batch)
    assert_close(request["loss"], expected_loss)
    assert_same(request["gradient"], expected)
    maml = request_of(as_maml(algorithm), batch)["gradient"]
    assert (expected - maml).norm() > 0.01 * maml.norm()
