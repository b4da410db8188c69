"""ProMP's likelihood-ratio inner loss and its outer objective against plain code, in float64."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import (
    N,
    as_maml,
    assert_same,
    construct,
    every_space,
    gradient_of,
    maml_walk,
    mean,
    policy_of,
    recorded,
    request_of,
    tiny,
    walk,
)
from metarl_cli.algorithms.maml.maml import MetaBatch
from metarl_cli.algorithms.maml.promp import ProMP
from metarl_cli.networks.parameters import flatten_parameters, load_flat

every_depth = pytest.mark.parametrize("steps", [1, 2])


def sampled_from(algorithm, batches):
    """Parameters of each task that the actions of each batch were drawn from: `[N][k]`."""
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    return [
        [point.detach() for point in maml_walk(algorithm, theta, batches[:-1], n)] for n in range(N)
    ]


def distributions(algorithm, points, batches):
    """The same as a list of action distributions, one for each batch."""
    rows = [torch.stack(points_of_step) for points_of_step in zip(*points, strict=True)]
    return [
        algorithm.distribution(point, samples.obs).detach()
        for point, samples in zip(rows, batches, strict=True)
    ]


def loss_by_brute_force(algorithm, theta, batches, old_points):
    """Clipped loss after explicit likelihood-ratio steps, and the KL penalty before them."""
    total = 0.0
    for n in range(N):
        old = [
            policy_of(algorithm, point, samples, n)
            for point, samples in zip(old_points[n], batches, strict=True)
        ]

        def ratio(policy, k, n=n, old=old):
            action = batches[k].action[n]
            return (policy.log_prob(action) - old[k].log_prob(action)).exp()

        def inner(point, k, n=n, ratio=ratio):
            policy = policy_of(algorithm, point, batches[k], n)
            return -mean(ratio(policy, k) * batches[k].advantage[n], batches[k], n)

        points = walk(theta, len(batches) - 1, inner)
        new = [
            policy_of(algorithm, point, samples, n)
            for point, samples in zip(points, batches, strict=True)
        ]
        last, advantage = len(batches) - 1, batches[-1].advantage[n]
        after = ratio(new[-1], last)
        clipped = after.clamp(1 - algorithm.clip, 1 + algorithm.clip)
        total -= mean(torch.minimum(after * advantage, clipped * advantage), batches[-1], n)
        for k in range(last):
            total += algorithm.kl_weight * mean(old[k].kl(new[k]), batches[k], n) / last
    return total / N


def moved(algorithm, size):
    """Let some epochs have gone by: the policy is no longer the one that was sampled from."""
    torch.manual_seed(7)
    theta = flatten_parameters(algorithm.policy)
    load_flat(algorithm.policy, theta + size * torch.randn_like(theta))


@every_space
def test_inner_gradient_is_the_policy_gradient_where_the_samples_are_from(space):
    algorithm, (support, _) = recorded(ProMP, space)
    rows = flatten_parameters(algorithm.policy).repeat(N, 1).requires_grad_()
    old = algorithm.distribution(rows, support.obs).detach()
    (ours,) = torch.autograd.grad(
        algorithm.likelihood_ratio_loss(support, old, rows).sum(), rows, create_graph=True
    )
    (plain,) = torch.autograd.grad(
        algorithm.inner_loss(support, rows).sum(), rows, create_graph=True
    )
    assert plain.norm() > 0.1
    assert_close(ours, plain)
    vector = torch.ones_like(rows)  # the Hessians differ: that is the point of it
    of_ratio, of_log_prob = (torch.autograd.grad(x, rows, vector)[0] for x in (ours, plain))
    assert (of_ratio - of_log_prob).norm() > 0.01 * of_log_prob.norm()


@every_space
@every_depth
@pytest.mark.parametrize("shift", [0.0, 0.05], ids=["first epoch", "later epoch"])
def test_meta_gradient_equals_brute_force(space, steps, shift):
    algorithm, batches = recorded(ProMP, space, steps)
    points = sampled_from(algorithm, batches)
    moved(algorithm, shift)
    gradient, _, terms = algorithm.meta_gradient(batches, distributions(algorithm, points, batches))
    value, expected = gradient_of(
        lambda theta: loss_by_brute_force(algorithm, theta, batches, points),
        flatten_parameters(algorithm.policy),
    )
    assert expected.norm() > 0.01
    assert_same(gradient, expected)
    loss = (terms["policy_loss"] + algorithm.kl_weight * terms["inner_kl"]).mean()
    assert_close(loss.detach(), value)
    at_first = torch.zeros(N, dtype=torch.float64)
    for name in ("inner_kl", "outer_kl"):
        if shift:
            assert (terms[name] > 1e-4).all()
        else:
            assert_close(terms[name].detach(), at_first, atol=1e-12, rtol=0)


@every_depth
def test_penalty_and_clip_matter_in_later_epochs(steps):
    algorithm, batches = recorded(ProMP, steps=steps)
    old = distributions(algorithm, sampled_from(algorithm, batches), batches)

    def gradients(**settings):
        for name, value in settings.items():
            setattr(algorithm, name, value)
        return algorithm.meta_gradient(batches, old)[0]

    loose, tight = {"kl_weight": 0.0, "clip": 1e6}, {"kl_weight": 5.0, "clip": 0.01}
    assert_close(gradients(**loose), gradients(**tight))  # nothing was passed yet
    moved(algorithm, 0.05)
    free = gradients(**loose)
    for change in ({"clip": 0.01}, {"kl_weight": 5.0}):
        assert (gradients(**(loose | change)) - free).norm() > 0.1 * free.norm()


@every_depth
def test_first_meta_gradient_credits_the_samples_before_adaptation_as_maml_does_not(steps):
    algorithm, batches = recorded(ProMP, steps=steps)
    old = distributions(algorithm, sampled_from(algorithm, batches), batches)
    ours, _, _ = algorithm.meta_gradient(batches, old)
    batch = MetaBatch(batches[:-1], batches[-1], torch.full((N,), -1))
    maml = request_of(as_maml(algorithm), batch)["gradient"]
    assert (ours - maml).norm() > 0.01 * maml.norm()


@every_space
@every_depth
def test_meta_update_takes_adam_steps_on_the_same_samples(space, steps):
    algorithm, batches = recorded(ProMP, space, steps, epochs=3, learning_rate=0.02)
    points = sampled_from(algorithm, batches)
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    adam = torch.optim.Adam([theta], lr=0.02)
    for _ in range(3):
        _, theta.grad = gradient_of(
            lambda x: loss_by_brute_force(algorithm, x, batches, points), theta
        )
        adam.step()
    metrics = algorithm.meta_update(batches)
    assert_close(flatten_parameters(algorithm.policy), theta.detach(), rtol=1e-6, atol=1e-9)
    assert metrics["promp/gradient_steps"] == 3 and metrics["promp/inner_kl"] > 0


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0), ("clip", 0), ("epochs", 0), ("kl_weight", -1)]
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        construct(ProMP, tiny(), **{name: value})
