"""E-MAML is MAML plus exactly one term."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import (
    N,
    as_maml,
    assert_same,
    every_space,
    gradient_of,
    maml_walk,
    mean,
    policy_of,
    recorded,
    request_of,
)
from metarl_cli.algorithms.maml.agent import Samples
from metarl_cli.algorithms.maml.emaml import EMAML, standardised_reward
from metarl_cli.algorithms.maml.maml import MetaBatch
from metarl_cli.networks.parameters import flatten_parameters


def returns(query):
    """Mean reward after adaptation, in standard deviations of all rewards."""
    rewards = query.reward[query.mask > 0]
    means = torch.stack([mean(query.reward[n], query, n) for n in range(N)])
    return (means - rewards.mean()) / rewards.std(correction=0)


@every_space
@pytest.mark.parametrize("steps", [1, 2])
def test_meta_gradient_is_that_of_maml_plus_the_exploration_term(space, steps):
    algorithm, batch = recorded(EMAML, space, steps)
    credit = returns(batch.query)

    def term(theta):
        total = 0.0
        for n in range(N):
            points = maml_walk(algorithm, theta, batch.support, n)
            for samples, point in zip(batch.support, points[:-1], strict=True):
                policy = policy_of(algorithm, point, samples, n)
                total -= credit[n] * mean(policy.log_prob(samples.action[n]), samples, n) / steps
        return total / N

    value, expected = gradient_of(term, flatten_parameters(algorithm.policy))
    ours, maml = request_of(algorithm, batch), request_of(as_maml(algorithm), batch)
    assert expected.norm() > 0.01 * maml["gradient"].norm()
    assert_close(ours["loss"] - maml["loss"], value, rtol=1e-6, atol=1e-12)
    assert_same(ours["gradient"] - maml["gradient"], expected)


def one_sample(action, reward):
    """One sample of each task, without advantage."""
    ones = torch.ones(len(reward), 1, dtype=torch.float64)
    return Samples(
        obs=torch.zeros(len(reward), 1, 2, dtype=torch.float64),
        action=action,
        advantage=0 * ones,
        mask=ones,
        reward=torch.tensor(reward, dtype=torch.float64).unsqueeze(1),
    )


def test_term_of_single_samples_by_hand():
    # Rewards 4, 4, 1 after adaptation: mean 3, deviation sqrt 2, so credits (1, 1, -2) / sqrt 2.
    algorithm, _ = recorded(EMAML)
    actions = torch.tensor([[[0.3, -0.2]], [[0.9, 0.1]], [[-0.4, 0.5]]], dtype=torch.float64)
    support, query = one_sample(actions, [0.0, 0, 0]), one_sample(actions, [4.0, 4.0, 1.0])
    gradient = request_of(algorithm, MetaBatch([support], query, torch.full((N,), -1)))["gradient"]
    # d log pi / d mean = (a - mean) / variance, and the mean's bias is added to the mean.
    policy = algorithm.policy(torch.zeros(2).double())
    scores = (actions[:, 0] - policy.mean) / (2 * policy.log_std).exp()
    credit = torch.tensor([1.0, 1.0, -2.0]).double() / 2**0.5
    expected = -(credit.unsqueeze(1) * scores).mean(0).detach()
    names = dict(algorithm.policy.named_parameters())
    start = sum(p.numel() for p in list(names.values())[: list(names).index("head.mean.bias")])
    assert_close(gradient[start : start + 2], expected, rtol=1e-6, atol=0)


def test_reward_is_standardised_over_all_samples_that_count():
    # Rewards 1 3 | 8: mean 4, deviations -3 -1 4, variance 26 / 3.
    ones = torch.ones(2, 2)
    mask, reward = torch.tensor([[1.0, 1], [1, 0]]), torch.tensor([[1.0, 3], [8, 99]])
    got = standardised_reward(Samples(ones, ones, ones, mask, reward))
    assert_close(got, torch.tensor([-2.0, 4.0]) / (26 / 3) ** 0.5)


def test_equal_rewards_are_no_reason_to_explore():
    ones = torch.ones(2, 2)
    assert standardised_reward(Samples(ones, ones, ones, ones, 3 * ones)).tolist() == [0, 0]
