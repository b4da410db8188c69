import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe
from metarl_cli.networks.step_memory import StepMemory

FORGETFUL = Recipe(functools.partial(MLP, [4], "tanh"))
REMEMBERING = Recipe(functools.partial(GRU, 5, 8))
VECTOR = Box(-1, 1, (3,), np.float32)
SPEC = EnvSpec(VECTOR, Discrete(2), Box(-1, 1, (1,)), horizon=5)


def test_each_kind_of_network_is_built_with_the_size_of_its_input():
    assert FORGETFUL.torso(3)(torch.zeros(7, 3)).shape == (7, 4)
    memory = REMEMBERING.memory(3)
    state = memory.initial_state(7)
    assert memory.step(torch.zeros(7, 3), state, torch.ones(7))[0].shape == (7, 8)


def test_network_with_memory_is_refused_where_there_is_no_time():
    for build in (
        lambda: REMEMBERING.torso(3),
        lambda: ActorCritic(SPEC, REMEMBERING, initial_std=1.0),
    ):
        with pytest.raises(UserError, match=r"needs a feed-forward one, got memory$"):
            build()


def test_network_without_memory_is_refused_where_one_is_needed():
    for build in (lambda: FORGETFUL.memory(3), lambda: StepMemory(SPEC, FORGETFUL)):
        with pytest.raises(UserError, match=r"needs one with memory .*, got feed-forward$"):
            build()


def test_layers_beside_a_memory_are_feed_forward():
    torso = REMEMBERING.feed_forward([6, 5]).torso(3)
    assert torso(torch.zeros(2, 3)).shape == (2, 5)


def test_heads_are_undecided_unless_they_are_given_a_gain():
    torch.manual_seed(0)
    features = torch.randn(50, 4)
    for gain, low, high in (({}, 0.0, 0.05), ({"gain": 1.0}, 0.3, 10.0)):
        head = FORGETFUL.head(Discrete(3), 4, 1.0, **gain)
        assert low < head(features).log_probs.std() < high


def test_encoders_inputs_and_scaled_tasks_follow_their_spaces():
    assert FORGETFUL.encoder(Discrete(3))(torch.tensor(1)).tolist() == [0, 1, 0]
    task = Box(np.array([0.0, -2.0]), np.array([4.0, 2.0]), dtype=np.float64)
    assert FORGETFUL.task_encoder(task)(torch.tensor([3.0, -2.0])).tolist() == [0.5, -1]
    assert FORGETFUL.inputs(VECTOR, 2).out_dim == 5
