import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text
from torch.testing import assert_close

from metarl_cli.networks.encoders import build_encoder


def test_vectors_pass_unchanged():
    encoder = build_encoder(Box(-1, 1, (3,), np.float32))
    x = torch.randn(4, 5, 3)
    assert encoder.out_dim == 3 and encoder(x).equal(x)


def test_float_arrays_are_flattened_behind_the_batch():
    encoder = build_encoder(Box(-1, 1, (2, 3), np.float32))
    x = torch.arange(24.0).view(4, 2, 3)
    assert encoder.out_dim == 6 and encoder(x).equal(x.view(4, 6))


def test_discrete_values_become_one_hot():
    encoder = build_encoder(Discrete(3))
    assert encoder.out_dim == 3
    assert encoder(torch.tensor([[2, 0]])).tolist() == [[[0, 0, 1], [1, 0, 0]]]
    assert encoder(torch.tensor(1)).dtype == torch.float32


def test_each_component_of_a_multi_discrete_is_one_hot():
    encoder = build_encoder(MultiDiscrete([2, 3]))
    assert encoder.out_dim == 5
    assert encoder(torch.tensor([[1, 2], [0, 0]])).tolist() == [[0, 1, 0, 0, 1], [1, 0, 1, 0, 0]]


def test_dict_entries_are_concatenated_in_the_order_of_the_space():
    space = Dict({"b": Discrete(2), "a": Box(-1, 1, (2,), np.float32)})
    encoder = build_encoder(space)
    obs = {"b": torch.tensor([1]), "a": torch.tensor([[0.5, -0.5]])}
    parts = {"a": [0.5, -0.5], "b": [0, 1]}
    expected = [x for key in space.spaces for x in parts[key]]
    assert encoder.out_dim == 4
    assert_close(encoder(obs), torch.tensor([expected]))
    assert encoder(dict(reversed(obs.items()))).equal(encoder(obs))


@pytest.mark.parametrize("space", [Text(3), Box(0, 255, (8, 8, 3), np.uint8)])
def test_spaces_without_an_encoder_are_named(space):
    with pytest.raises(ValueError, match="no encoder"):
        build_encoder(space)
