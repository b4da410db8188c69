import math

import torch
from torch.testing import assert_close

from metarl_cli.algorithms.varibad.decoders import negative_log_likelihood
from metarl_cli.algorithms.varibad.varibad import sequential_kl
from metarl_cli.functional.distributions import DiagonalGaussian


def beliefs(*means, log_std=0.0):
    mean = torch.tensor(means).view(-1, 1, 1)  # [T, 1, 1]
    return DiagonalGaussian(mean, torch.full_like(mean, log_std))


def kl(belief, *active):
    return sequential_kl(belief, torch.tensor(active).view(-1, 1))[:, 0]


def test_each_belief_is_held_against_the_one_before_and_the_first_against_the_standard_normal():
    # Means 0 -> 1 -> 3 -> 3 with equal variance: half the squared steps
    assert_close(kl(beliefs(1.0, 3.0, 3.0), 1.0, 1.0, 1.0), torch.tensor([0.5, 2.0, 0.0]))


def test_a_first_belief_twice_as_wide_as_the_prior_costs_what_the_formula_says():
    wide = beliefs(0.0, 0.0, log_std=math.log(2))
    assert_close(kl(wide, 1.0, 1.0), torch.tensor([1.5 - math.log(2), 0.0]))


def test_inactive_beliefs_cost_nothing_and_are_skipped_over():
    belief = beliefs(1.0, 100.0, -100.0, 3.0)
    assert_close(kl(belief, 1.0, 0.0, 0.0, 1.0), torch.tensor([0.5, 0.0, 0.0, 2.0]))


def test_the_first_active_belief_is_held_against_the_prior():
    assert_close(kl(beliefs(9.0, 2.0), 0.0, 1.0), torch.tensor([0.0, 2.0]))


def test_dimensions_of_the_latent_add_up_and_trials_do_not_mix():
    mean = torch.tensor([[[1.0, 2.0], [0.0, 0.0]], [[1.0, 2.0], [4.0, 0.0]]])  # [T, B, Z]
    belief = DiagonalGaussian(mean, torch.zeros_like(mean))
    active = torch.ones(2, 2)
    assert_close(sequential_kl(belief, active), torch.tensor([[2.5, 0.0], [0.0, 8.0]]))


def test_gaussian_likelihood_is_the_squared_error():
    loss = negative_log_likelihood(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 3.0]), "gaussian")
    assert loss.tolist() == [4, 0]


def test_bernoulli_likelihood_is_that_of_the_reward_being_positive():
    logit = torch.tensor([0.0, math.log(3), math.log(3), math.log(3)])
    target = torch.tensor([5.0, 0.2, 0.0, -1.0])
    expected = -torch.tensor([0.5, 0.75, 0.25, 0.25]).log()
    assert_close(negative_log_likelihood(logit, target, "bernoulli"), expected)


def test_one_target_serves_predictions_from_many_steps():
    prediction, target = torch.zeros(3, 2, 1), torch.tensor([[1.0], [0.0]])  # [L, Q, M], [Q, M]
    for likelihood, first, second in (("gaussian", 1.0, 0.0), ("bernoulli", *[math.log(2)] * 2)):
        loss = negative_log_likelihood(prediction, target, likelihood)
        assert loss.shape == (3, 2, 1)
        assert_close(loss[:, :, 0], torch.tensor([[first, second]]).expand(3, 2))
