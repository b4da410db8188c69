"""Reptile moves towards where the inner loop leads, and knows no other derivative."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import (
    N,
    construct,
    double,
    every_space,
    in_double,
    maml_walk,
    roughened,
    tiny,
)
from metarl_cli.algorithms.maml.reptile import Reptile
from metarl_cli.networks.parameters import flatten_parameters


def iteration(algorithm, sampler):
    """Do one; return its metrics, and the samples and adapted parameters that it saw."""
    collect, seen = algorithm.collect, []
    algorithm.collect = lambda *given, **how: seen.append(collect(*given, **how)) or seen[0]
    metrics = algorithm.train_step(sampler)
    batches, state, _ = seen[0]
    return metrics, batches, state.parameters


@every_space
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("epsilon", [0.25, 1.0])
def test_initialisation_moves_by_a_share_towards_the_mean_of_adapted_parameters(
    space, steps, epsilon
):
    sampler = tiny(space)
    algorithm = in_double(
        roughened(construct(Reptile, sampler, steps=steps, outer_step_size=epsilon))
    )
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    metrics, batches, _ = iteration(algorithm, sampler)
    assert len(batches) == steps  # nothing is sampled with the adapted parameters
    batches = double(batches)
    ends = torch.stack([maml_walk(algorithm, theta, batches, n)[-1] for n in range(N)])
    change = (ends.mean(0) - theta).detach()
    after = flatten_parameters(algorithm.policy)
    assert change.norm() > 0.01
    assert_close(after, theta.detach() + epsilon * change, rtol=1e-6, atol=1e-8)
    assert metrics["reptile/distance"] == pytest.approx(float(change.norm()), rel=1e-6)


def test_with_one_task_and_epsilon_1_it_lands_on_the_adapted_parameters():
    sampler = tiny(num_tasks=1, num_envs=4, ends=None)
    algorithm = construct(Reptile, sampler, num_tasks=1, outer_step_size=1.0, steps=2)
    before = flatten_parameters(algorithm.policy)
    _, _, adapted = iteration(algorithm, sampler)
    after = flatten_parameters(algorithm.policy)
    assert_close(after, adapted[0], rtol=1e-6, atol=1e-7)
    assert (after - before).norm() > 0.01


@pytest.mark.parametrize("value", [0, 1.5, -0.5])
def test_step_size_out_of_range_is_named(value):
    with pytest.raises(ValueError, match="outer_step_size"):
        construct(Reptile, tiny(), outer_step_size=value)
