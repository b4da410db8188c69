import functools
import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.func import functional_call
from torch.testing import assert_close

from metarl_cli.algorithms.maml.policy import Policy
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec
from metarl_cli.functional.distributions import Categorical, DiagonalGaussian
from metarl_cli.networks.heads import MIN_LOG_STD
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.parameters import flatten_parameters, load_flat, unflatten
from metarl_cli.networks.recipe import Recipe

NETWORK = Recipe(functools.partial(MLP, [4], "tanh"))
VECTOR = Box(-1, 1, (3,), np.float32)
ACTIONS = {"continuous": Box(-1, 1, (2,), np.float32), "discrete": Discrete(3)}
every_action = pytest.mark.parametrize("kind", ACTIONS)


class Recurrent(MLP):
    kind = "recurrent"


def spec(action, observation=VECTOR):
    return EnvSpec(observation, action, Box(-1, 1, (1,)), horizon=5)


def policy(kind, observation=VECTOR):
    return Policy(spec(ACTIONS[kind], observation), NETWORK, initial_std=0.5)


def parameters_of(distribution):
    if isinstance(distribution, DiagonalGaussian):
        mean, log_std = torch.broadcast_tensors(distribution.mean, distribution.log_std)
        return torch.cat([mean, log_std], -1)
    return distribution.log_probs


@every_action
@pytest.mark.parametrize("observation", [VECTOR, Discrete(5)])
def test_stacked_parameters_give_each_task_the_policy_of_its_own(kind, observation):
    torch.manual_seed(0)
    policies = [policy(kind, observation) for _ in range(3)]
    if kind == "continuous":
        for row, each in enumerate(policies):
            torch.nn.init.constant_(each.head.log_std, float(row))
    obs = torch.randint(5, (3, 7)) if observation is not VECTOR else torch.randn(3, 7, 3)
    flat = torch.stack([flatten_parameters(each) for each in policies])
    out = functional_call(policies[0], unflatten(policies[0], flat), (obs,))
    for row, each in enumerate(policies):
        assert_close(parameters_of(out)[row], parameters_of(each(obs[row])))


def test_action_space_decides_the_distribution():
    obs = torch.zeros(4, 3)
    gaussian, categorical = policy("continuous")(obs), policy("discrete")(obs)
    assert isinstance(gaussian, DiagonalGaussian) and gaussian.sample().shape == (4, 2)
    assert isinstance(categorical, Categorical) and categorical.sample().shape == (4,)


def test_standard_deviation_starts_as_given_and_is_bounded_below():
    net = policy("continuous")
    assert_close(net(torch.zeros(1, 3)).log_std.exp(), torch.full((2,), 0.5))
    torch.nn.init.constant_(net.head.log_std, -100.0)
    assert_close(net(torch.zeros(1, 3)).log_std, torch.full((2,), MIN_LOG_STD))
    assert math.isclose(math.exp(MIN_LOG_STD), 1e-6)


def test_network_with_memory_is_refused_by_a_feed_forward_policy():
    network = Recipe(functools.partial(Recurrent, [4], "tanh"))
    with pytest.raises(UserError, match="needs a feed-forward one, got recurrent"):
        Policy(spec(ACTIONS["discrete"]), network, initial_std=1)


@every_action
def test_flat_parameters_survive_a_round_trip(kind):
    source, target = policy(kind), policy(kind)
    load_flat(target, flatten_parameters(source))
    for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
        assert ours.equal(theirs)


def test_flattened_parameters_are_a_copy_and_unflattened_ones_are_views():
    net = policy("continuous")
    flat = flatten_parameters(net)
    with torch.no_grad():
        next(net.parameters()).zero_()
    assert flat[0] != 0
    named = unflatten(net, flat)
    flat.fill_(7)
    assert all((value == 7).all() for value in named.values())
    assert {name: value.shape for name, value in named.items()} == {
        name: value.shape for name, value in net.named_parameters()
    }


def test_unflatten_lets_gradients_through_to_every_task():
    net = policy("discrete")
    flat = flatten_parameters(net).expand(2, -1).clone().requires_grad_()
    total = sum(value[1].sum() for value in unflatten(net, flat).values())
    (gradient,) = torch.autograd.grad(total, flat)
    assert gradient[0].eq(0).all() and gradient[1].eq(1).all()
