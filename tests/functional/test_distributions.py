import math

import pytest
import torch
from torch import distributions as reference
from torch.testing import assert_close

from metarl_cli.functional.distributions import Categorical, DiagonalGaussian, SquashedGaussian

MEAN = torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=torch.float64)
LOG_STD = torch.tensor([0.3, -0.7], dtype=torch.float64)
LOGITS = torch.tensor([[0.0, 1.0, -2.0], [3.0, 3.0, 0.5]], dtype=torch.float64)


def gaussian(shift=0.0):
    return DiagonalGaussian(MEAN + shift, LOG_STD - shift)


def gaussian_reference(shift=0.0):
    scale = (LOG_STD - shift).exp().expand_as(MEAN)
    return reference.Independent(reference.Normal(MEAN + shift, scale), 1)


def categorical(shift=0.0):
    return Categorical.from_logits(LOGITS + shift * torch.arange(3))


def categorical_reference(shift=0.0):
    return reference.Categorical(logits=LOGITS + shift * torch.arange(3))


PAIRS = pytest.mark.parametrize(
    ("ours", "theirs", "action"),
    [
        (gaussian, gaussian_reference, torch.tensor([[0.1, 0.2], [-1.0, 3.0]]).double()),
        (categorical, categorical_reference, torch.tensor([2, 0])),
    ],
    ids=["gaussian", "categorical"],
)


@PAIRS
def test_log_prob_entropy_and_kl_equal_those_of_torch(ours, theirs, action):
    assert_close(ours().log_prob(action), theirs().log_prob(action))
    assert_close(ours().entropy().expand(2), theirs().entropy())
    expected = reference.kl_divergence(theirs(), theirs(0.4))
    assert_close(ours().kl(ours(0.4)), expected)


@PAIRS
def test_kl_to_itself_is_zero(ours, theirs, action):
    assert_close(ours().kl(ours()), torch.zeros(2).double(), atol=1e-15, rtol=0)


def test_standard_normal_anchors():
    normal = DiagonalGaussian(torch.zeros(1, 2), torch.zeros(2))
    assert_close(normal.log_prob(torch.zeros(1, 2)), torch.tensor([-math.log(2 * math.pi)]))
    assert_close(normal.entropy(), torch.tensor(1 + math.log(2 * math.pi)))
    moved = DiagonalGaussian(torch.tensor([[3.0, 4.0]]), torch.zeros(2))
    assert normal.kl(moved).tolist() == [12.5]  # half the squared distance


def test_gaussian_samples_have_the_moments_of_the_distribution():
    torch.manual_seed(0)
    draws = DiagonalGaussian(MEAN.expand(40_000, 2, 2), LOG_STD).sample()
    assert_close(draws.mean(0), MEAN, atol=0.03, rtol=0)
    assert_close(draws.std(0), LOG_STD.exp().expand(2, 2), atol=0.03, rtol=0)


def test_categorical_samples_have_the_frequencies_of_the_distribution():
    torch.manual_seed(0)
    draws = Categorical.from_logits(LOGITS.expand(40_000, 2, 3)).sample()
    frequency = torch.nn.functional.one_hot(draws, 3).double().mean(0)
    assert_close(frequency, LOGITS.softmax(-1), atol=0.01, rtol=0)


def test_modes():
    assert gaussian().mode().equal(MEAN)
    assert categorical().mode().tolist() == [1, 0]


def test_detached_distribution_is_equal_and_constant():
    mean = MEAN.clone().requires_grad_()
    fixed = DiagonalGaussian(mean, LOG_STD).detach()
    assert fixed.mean.equal(MEAN) and not fixed.mean.requires_grad


def kl_hessian(make, parameters):
    old = make(parameters).detach()
    return torch.autograd.functional.hessian(lambda p: old.kl(make(p)).sum(), parameters)


def test_hessian_of_gaussian_kl_is_the_fisher_matrix():
    # For (mean, log_std): diag(1 / std^2, 2).
    parameters = torch.tensor([0.5, -1.0, 0.3, -0.7], dtype=torch.float64)
    hessian = kl_hessian(lambda p: DiagonalGaussian(p[:2], p[2:]), parameters)
    expected = torch.cat([(-2 * parameters[2:]).exp(), torch.full((2,), 2.0).double()])
    assert_close(hessian, expected.diag())


def test_hessian_of_categorical_kl_is_the_fisher_matrix():
    # For logits: diag(p) - p p^T.
    p = LOGITS[0].softmax(-1)
    hessian = kl_hessian(Categorical.from_logits, LOGITS[0])
    assert_close(hessian, p.diag() - p.outer(p))


def test_squashed_gaussian_has_the_density_of_a_transformed_normal():
    torch.manual_seed(0)
    mean = torch.tensor([[0.3, -1.0], [2.0, 0.0]], dtype=torch.float64)
    log_std = torch.tensor([0.1, -0.7], dtype=torch.float64).expand(2, 2)
    action, log_prob = SquashedGaussian(mean, log_std).sample()
    squash = reference.TanhTransform()
    theirs = reference.TransformedDistribution(reference.Normal(mean, log_std.exp()), squash)
    assert_close(log_prob, theirs.log_prob(action).sum(-1))
    assert_close(SquashedGaussian(mean, log_std).mode(), torch.tanh(mean))


def test_squashed_gaussian_stays_finite_where_tanh_saturates():
    far = torch.full((1, 1), 40.0)
    action, log_prob = SquashedGaussian(far, torch.zeros(1, 1)).sample()
    assert action.abs().le(1).all() and torch.isfinite(log_prob).all()
