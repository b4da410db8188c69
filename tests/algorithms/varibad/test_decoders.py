import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch.testing import assert_close

from metarl_cli.algorithms.varibad.decoders import PairDecoder, RewardDecoder, StateDecoder
from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe

Z = 2
NETWORK = Recipe(functools.partial(MLP, [4], "tanh"))
VECTOR = Box(-1, 1, (3,), np.float32)
TASK = Box(np.array([0.0, -2.0]), np.array([4.0, 2.0]), dtype=np.float64)


def spec(action=VECTOR):
    return EnvSpec(VECTOR, action, TASK, horizon=5)


def steps(obs, action, next_obs, active):
    """Transitions `[T, M]` without rewards."""
    zeros = torch.zeros_like(active)
    step = TimeStep(obs, torch.zeros_like(action), zeros, zeros, active, zeros.unsqueeze(-1))
    return Trajectory(step, action, zeros, next_obs, zeros)


def test_pair_decoder_is_a_plain_network_on_latent_and_query_side_by_side():
    torch.manual_seed(0)
    pairs = PairDecoder(Z, query_dim=3, hidden=[5, 4], out_dim=1)
    torch.nn.init.normal_(pairs.latent.bias)
    torch.nn.init.normal_(pairs.query.bias)
    plain = torch.nn.Linear(Z + 3, 5)
    plain.weight.data = torch.cat([pairs.latent.weight, pairs.query.weight], 1).detach()
    plain.bias.data = (pairs.latent.bias + pairs.query.bias).detach()
    latent, query = torch.randn(4, 6, Z), torch.randn(7, 6, 3)
    decoded = pairs(latent, query)
    assert decoded.shape == (4, 7, 6, 1)
    for step, transition, trial in ((0, 0, 0), (3, 6, 5), (1, 4, 2)):
        side_by_side = torch.cat([latent[step, trial], query[transition, trial]])
        expected = pairs.out(pairs.torso(torch.relu(plain(side_by_side))))
        assert_close(decoded[step, transition, trial], expected)


@pytest.mark.parametrize("action", [VECTOR, Discrete(3)], ids=["continuous", "discrete"])
def test_reward_depends_on_latent_state_action_and_next_state_of_its_own_trial(action):
    torch.manual_seed(0)
    decoder = RewardDecoder(spec(action), NETWORK, Z, [16, 16], "transition")
    taken = torch.randint(3, (5, 2)) if isinstance(action, Discrete) else torch.randn(5, 2, 3)
    inputs = [torch.randn(4, 2, Z), torch.randn(5, 2, 3), taken, torch.randn(5, 2, 3)]
    before = decoder(*inputs)
    assert before.shape == (4, 5, 2)
    for index in range(4):
        changed = [x.clone() for x in inputs]
        changed[index][0, 1] = (changed[index][0, 1] + 1) % 3
        moved = (decoder(*changed) - before).abs() > 1e-6
        expected = torch.zeros(4, 5, 2, dtype=torch.bool)
        expected[(0, slice(None), 1) if index == 0 else (slice(None), 0, 1)] = True
        assert moved.equal(expected)


def test_reward_decoder_of_one_layer_is_refused():
    with pytest.raises(ValueError, match=r"decoder_hidden: got \[8\], expected two"):
        RewardDecoder(spec(), NETWORK, Z, [8], "transition")


def test_reward_decoder_may_see_the_next_state_alone():
    decoder = RewardDecoder(spec(), NETWORK, Z, [8, 8], "next_state")
    latent, (obs, next_obs) = torch.randn(1, 1, Z), torch.randn(2, 1, 1, 3).unbind(0)
    first = decoder(latent, obs, torch.zeros(1, 1, 3), next_obs)
    assert decoder(latent, obs + 1, torch.ones(1, 1, 3), next_obs).equal(first)
    assert not decoder(latent, obs, torch.zeros(1, 1, 3), next_obs + 1).equal(first)
    with pytest.raises(ValueError, match="decoder_sees: got 'all'"):
        RewardDecoder(spec(), NETWORK, Z, [8, 8], "all")


@pytest.mark.parametrize("action", [VECTOR, Discrete(3)], ids=["continuous", "discrete"])
def test_next_state_depends_on_latent_state_and_action_of_its_own_trial(action):
    torch.manual_seed(0)
    decoder = StateDecoder(spec(action), NETWORK, Z, [16, 16])
    taken = torch.randint(3, (5, 2)) if isinstance(action, Discrete) else torch.randn(5, 2, 3)
    inputs = [torch.randn(4, 2, Z), torch.randn(5, 2, 3), taken]
    before = decoder(*inputs)
    assert before.shape == (4, 5, 2, 3)
    for index in range(3):
        changed = [x.clone() for x in inputs]
        changed[index][0, 1] = (changed[index][0, 1] + 1) % 3
        moved = ((decoder(*changed) - before).abs() > 1e-6).any(-1)
        expected = torch.zeros(4, 5, 2, dtype=torch.bool)
        expected[(0, slice(None), 1) if index == 0 else (slice(None), 0, 1)] = True
        assert moved.equal(expected)


def test_next_state_is_told_in_standard_deviations_of_each_feature():
    decoder = StateDecoder(spec(), NETWORK, Z, [4, 4])
    torch.nn.init.zeros_(decoder.decode.out.weight)
    decoder.decode.out.bias.data = torch.tensor([0.0, 1.0, -2.0])
    unit = torch.tensor([1.0, 10.0, 1000.0])  # mean zero, the standard deviation of each feature
    obs, action = torch.zeros(2, 1, 3), torch.zeros(2, 1, 3)
    seen = steps(obs, action, torch.stack([unit, -unit])[:, None], torch.ones(2, 1))
    decoder.update_statistics(seen)
    latent = torch.randn(1, 1, Z)
    assert_close(decoder(latent, obs, action)[0, 0, 0], torch.tensor([0.0, 1.0, -2.0]))
    foretold, wrong = torch.tensor([0.0, 10.0, -2000.0]), torch.tensor([3.0, 10.0, -2000.0])
    loss = decoder.loss(latent, obs, action, torch.stack([foretold, wrong])[:, None])
    assert_close(loss, torch.tensor([0.0, 3.0]).view(1, 2, 1))  # (9 + 0 + 0) / 3


@pytest.mark.parametrize("vector", [False, True], ids=["alone", "beside a vector"])
def test_images_are_no_next_states(vector):
    image = Box(0, 255, (36, 40, 3), np.uint8)
    observation = Dict({"image": image, "vector": VECTOR}) if vector else image
    with pytest.raises(ValueError, match="state_weight: next states are images"):
        StateDecoder(EnvSpec(observation, VECTOR, TASK, horizon=5), NETWORK, Z, [8, 8])
