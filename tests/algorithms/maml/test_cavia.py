"""CAVIA adapts its context and nothing else, and learns all else through it."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import (
    N,
    assert_same,
    construct,
    every_space,
    gradient_of,
    mean,
    policy_of,
    recorded,
    reinforce,
    request_of,
    surrogate,
    tiny,
    walk,
)
from metarl_cli.algorithms.maml.cavia import CAVIA
from metarl_cli.networks.parameters import flatten_parameters, named_entries


def adapted(algorithm, theta, batch, n):
    """The policy of task n at the query samples, after explicit steps on a context from zero."""

    def loss(context, k):
        samples = batch.support[k]
        return reinforce(policy_of(algorithm, theta, samples, n, context=context), samples, n)

    start = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    context = walk(start, len(batch.support), loss)[-1]
    return policy_of(algorithm, theta, batch.query, n, context=context)


def context_of(algorithm, rows):
    return rows[..., named_entries(algorithm.policy, "context").bool()]


def shared_of(algorithm, rows):
    return rows[..., ~named_entries(algorithm.policy, "context").bool()]


@every_space
def test_adapt_changes_the_context_and_no_bit_of_what_is_shared(space):
    sampler = tiny(space)
    algorithm = construct(CAVIA, sampler, initial_std=1.0)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    start = flatten_parameters(algorithm.policy)
    assert context_of(algorithm, trial.state.parameters).eq(0).all()
    for _ in range(3):
        episode, trial = sampler.run(algorithm, trial)
        before, trial = trial.state.parameters, trial.adapt(algorithm, episode)
        moved = context_of(algorithm, trial.state.parameters)
        assert not moved.eq(context_of(algorithm, before)).any()
        for row in trial.state.parameters:
            assert shared_of(algorithm, row).equal(shared_of(algorithm, start))
    assert flatten_parameters(algorithm.policy).equal(start)


@every_space
@pytest.mark.parametrize("steps", [1, 2])
def test_meta_gradient_equals_autograd_through_the_context(space, steps):
    algorithm, batch = recorded(CAVIA, space, steps)
    request = request_of(algorithm, batch)

    def loss(theta):
        policies = [adapted(algorithm, theta, batch, n) for n in range(N)]
        return sum(surrogate(policies[n], batch.query, n) for n in range(N)) / N

    expected_loss, expected = gradient_of(loss, algorithm.meta_parameters())
    assert shared_of(algorithm, expected).norm() > 0.01
    assert_close(request["loss"], expected_loss)
    assert_same(request["gradient"], expected)
    assert context_of(algorithm, request["gradient"]).eq(0).all()


@every_space
def test_fisher_product_goes_through_the_context(space):
    algorithm, batch = recorded(CAVIA, space)
    product = request_of(algorithm, batch)["fisher_product"]
    theta = algorithm.meta_parameters().requires_grad_()
    old = [adapted(algorithm, theta, batch, n).detach() for n in range(N)]
    new = [adapted(algorithm, theta, batch, n) for n in range(N)]
    kl = sum(mean(old[n].kl(new[n]), batch.query, n) for n in range(N)) / N
    (gradient,) = torch.autograd.grad(kl, theta, create_graph=True)
    torch.manual_seed(0)
    vector = torch.randn_like(theta)
    (expected,) = torch.autograd.grad(gradient, theta, vector)
    assert_same(product(vector), expected)
    assert context_of(algorithm, product(vector)).eq(0).all()


def test_context_gives_every_task_a_policy_of_its_own_and_is_zero_after_training():
    sampler = tiny()
    algorithm = construct(CAVIA, sampler)
    before = flatten_parameters(algorithm.policy)
    assert algorithm.train_step(sampler)["trpo/accepted"] == 1
    after = flatten_parameters(algorithm.policy)
    assert not shared_of(algorithm, after).equal(shared_of(algorithm, before))
    assert context_of(algorithm, after).eq(0).all()
    rows = after.repeat(3, 1)
    rows[:, named_entries(algorithm.policy, "context").bool()] = torch.eye(3)[:, :2]
    means = algorithm.distribution(rows, torch.zeros(3, 1, 2)).mean
    assert len({tuple(row) for row in means.squeeze(1).tolist()}) == 3
