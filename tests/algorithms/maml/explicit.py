"""Gradient-based agents in float64, samples of theirs, and inner loops in plain code.

What the agents do for all tasks at once is done here for one task after another, and autograd
differentiates through it.
"""

from __future__ import annotations

import functools
import inspect

import pytest
import torch
from helpers import tiny_sampler
from torch import nn
from torch.func import functional_call
from torch.testing import assert_close

from metarl_cli.algorithms.maml.inner_loop import InnerLoop
from metarl_cli.algorithms.maml.maml import MAML
from metarl_cli.core import tree
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.parameters import unflatten
from metarl_cli.networks.recipe import Recipe

N, E = 3, 4
LR = 0.25  # exact in float32, too
SPACES = [("vector", "continuous"), ("discrete", "discrete")]
every_space = pytest.mark.parametrize("space", SPACES, ids=["-".join(s) for s in SPACES])
NETWORK = Recipe(functools.partial(MLP, [5], "tanh"))
ENDS = [2, 9, 9, 9, 9, 3, 9, 9, 9, 9, 9, 1]
SETTINGS = {
    "num_tasks": N,
    "envs_per_task": E,
    "first_order": False,
    "dense_training": False,
    "fisher_fraction": 1.0,
    "context_dim": 2,
    "latent_dim": 2,
    "train_tasks": 6,
    "learn_step_size": True,
    "curvature_weight": 0.5,
    "prior_precision": 0.1,
    "outer_step_size": 0.5,
    "learning_rate": 0.01,
    "epochs": 3,
    "clip": 0.1,
    "kl_weight": 0.5,
    "initial_std": 0.7,
    "trpo": TRPO(0.01, 10, 1e-5, 0.8, 15),
}


def tiny(space=SPACES[0], **env):
    """A sampler of three tasks in four environments each, of which some end early."""
    defaults = {"obs": space[0], "action": space[1], "num_envs": N * E, "ends": ENDS}
    return tiny_sampler(**(defaults | env))


def inner_loop(**settings):
    """An inner loop of one step; settings are its keys."""
    defaults = {"steps": 1, "step_size": LR, "later_ratio": 0.25, "discount": 0.9}
    return InnerLoop(**(defaults | {"gae_lambda": 1.0} | settings))


def construct(cls, sampler, *, steps=1, seed=0, network=NETWORK, **settings):
    """An agent for the sampler's environments."""
    torch.manual_seed(seed)
    taken = inspect.signature(cls).parameters
    chosen = {key: value for key, value in SETTINGS.items() if key in taken}
    settings = chosen | {"inner": inner_loop(steps=steps)} | settings
    return cls(**settings, spec=sampler.spec, network=network)


def modules_of(algorithm):
    return [part for part in algorithm.learned().values() if isinstance(part, nn.Module)]


def roughened(algorithm):
    """Move all that is learned away from where it begins, so that no curvature is near 0."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (p for module in modules_of(algorithm) for p in module.parameters()):
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return algorithm


def in_double(algorithm):
    """Turn an agent to float64, for recorded samples; one-hot features are float32 otherwise."""
    for module in modules_of(algorithm):
        module.double()
    algorithm.policy.encoder.register_forward_hook(lambda *args: args[2].double())
    return algorithm


def double(tree_):
    return tree.tree_map(lambda x: x.double() if x.is_floating_point() else x, tree_)


def record(algorithm, sampler):
    """What one iteration would learn from, in float64."""
    kept = []
    algorithm.meta_update = lambda batch: kept.append(batch) or {}
    algorithm.train_step(sampler)
    del algorithm.meta_update
    return double(kept[0])


def recorded(cls, space=SPACES[0], steps=1, **settings):
    """An agent in float64, and what it would learn from in its first iteration."""
    sampler = tiny(space, mode="finite")
    algorithm = roughened(construct(cls, sampler, steps=steps, **settings))
    batch = record(algorithm, sampler)
    return in_double(algorithm), batch


class Spy:
    """Keeps what it was asked instead of stepping."""

    def step(self, parameters, **request):
        self.request = request | {"parameters": parameters}
        return parameters, {}


def request_of(algorithm, batch):
    """What the trust-region step of an iteration is asked for."""
    was, algorithm.trpo = algorithm.trpo, Spy()
    algorithm.meta_update(batch)
    spy, algorithm.trpo = algorithm.trpo, was
    return spy.request


def as_maml(algorithm):
    """Plain MAML in float64 with the parameters of a relative that has the same policy."""
    sampler = tiny()
    maml = construct(MAML, sampler, steps=algorithm.inner.steps)
    maml.policy = algorithm.policy
    return maml


def policy_of(algorithm, theta, samples, n, **replaced):
    """The policy of task n at its observations, with parameters `[P]`; some replaced by name."""
    named = unflatten(algorithm.policy, theta) | replaced
    return functional_call(algorithm.policy, named, (tree.index(samples.obs, n),))


def mean(x, samples, n):
    """Mean over the samples of task n that count."""
    return (x * samples.mask[n]).sum() / samples.mask[n].sum()


def reinforce(policy, samples, n):
    """-mean of log pi(a|s) A."""
    return -mean(policy.log_prob(samples.action[n]) * samples.advantage[n], samples, n)


def surrogate(policy, samples, n):
    """-mean of ratio A, where the policy is the one that was sampled from."""
    log_prob = policy.log_prob(samples.action[n])
    ratio = (log_prob - log_prob.detach()).exp()
    return -mean(ratio * samples.advantage[n], samples, n)


def walk(start, num_steps, loss, step_size=LR):
    """Points before each explicit step and after the last; `loss(point, k)` is that of step k."""
    points = [start]
    for k in range(num_steps):
        (gradient,) = torch.autograd.grad(loss(points[-1], k), points[-1], create_graph=True)
        points.append(points[-1] - step_size * gradient)
    return points


def maml_walk(algorithm, theta, support, n):
    """Parameters of task n before each step of MAML's inner loop and after the last."""

    def loss(point, k):
        return reinforce(policy_of(algorithm, point, support[k], n), support[k], n)

    return walk(theta, len(support), loss)


def gradient_of(loss, theta):
    """Value and gradient of a scalar function at theta."""
    leaf = theta.detach().clone().requires_grad_()
    value = loss(leaf)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def assert_same(ours, expected):
    """One part in 10^7, or in 10^9 of the largest entry; and not all of it is zero."""
    largest = expected.abs().max().item()
    assert largest > 1e-9
    assert_close(ours, expected, rtol=1e-7, atol=1e-9 * largest)
