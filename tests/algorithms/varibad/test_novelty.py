"""Novelty of hyper-states and the scale of rewards."""

import math

import pytest
import torch
from helpers import TinyFamily
from torch.testing import assert_close

from metarl_cli.algorithms.varibad.novelty import Novelty, ReturnScale


def novelty(target_scale=10.0, seed=0):
    torch.manual_seed(seed)
    return Novelty(
        TinyFamily().spec,
        2,
        target_hidden=[8, 8],
        predictor_hidden=[8],
        num_features=4,
        target_scale=target_scale,
    )


def test_only_the_predictor_learns_and_the_random_network_is_saved():
    net = novelty()
    assert all(not p.requires_grad for p in net.target.parameters())
    assert all(p.requires_grad for p in net.predictor.parameters())
    other = novelty(seed=1)
    other.load_state_dict(net.state_dict())
    obs, belief = torch.rand(5, 2), torch.rand(5, 2)
    assert other(obs, belief).equal(net(obs, belief))


def test_weights_of_the_random_network_are_scaled_up():
    for ours, plain in zip(
        novelty(10.0).target.parameters(), novelty(1.0).target.parameters(), strict=True
    ):
        assert_close(ours, 10 * plain)


def test_places_learned_become_less_novel_than_new_ones():
    net = novelty(target_scale=3.0)
    optimizer = torch.optim.Adam(net.predictor.parameters(), lr=1e-2)
    obs, old, new = torch.zeros(20, 2), torch.rand(20, 2), 5 + torch.rand(20, 2)
    before = net(obs, old).mean()
    for _ in range(100):
        optimizer.zero_grad()
        net(obs, old).mean().backward()
        optimizer.step()
    assert net(obs, old).mean() < before / 10
    assert net(obs, old).mean() < net(obs, new).mean() / 10


def test_both_state_and_belief_make_a_place_new():
    net, zero, one = novelty(), torch.zeros(1, 2), torch.ones(1, 2)
    at_home = net(zero, zero)
    assert not net(one, zero).equal(at_home) and not net(zero, one).equal(at_home)


def test_rewards_are_divided_by_the_deviation_of_their_discounted_sums():
    scale = ReturnScale(discount=0.5)
    reward = torch.tensor([[1.0, 0.0], [1.0, 9.0], [2.0, 0.0]])
    active = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    scale.update_statistics(reward, active)
    # sums: 1, 1.5, 2.75 and 0, -, 0 (nothing is counted, nothing decays while inactive)
    sums = torch.tensor([1.0, 1.5, 2.75, 0.0, 0.0])
    assert_close(scale(reward), reward / sums.std(correction=0))


def test_scale_runs_over_all_trials_so_far():
    scale, whole = ReturnScale(discount=0.9), ReturnScale(discount=0.9)
    first, second = torch.rand(6, 4), torch.rand(6, 4) - 2
    scale.update_statistics(first, torch.ones(6, 4))
    scale.update_statistics(second, torch.ones(6, 4))
    whole.update_statistics(torch.cat([first, second], 1), torch.ones(6, 8))
    assert_close(scale(torch.ones(1)), whole(torch.ones(1)))


@pytest.mark.parametrize("shape", [(1, 1), (6, 3)])
def test_zero_rewards_stay_zero(shape):
    scale = ReturnScale(discount=0.9)
    scale.update_statistics(torch.zeros(shape), torch.ones(shape))
    assert scale(torch.zeros(shape)).abs().max() == 0
    assert math.isfinite(scale(torch.ones(1)).item())
