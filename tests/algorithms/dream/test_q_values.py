import functools

import pytest
import torch
from helpers import Scripted, tiny_sampler
from torch.testing import assert_close

from metarl_cli.algorithms.dream.q_values import RecurrentQ
from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.recipe import Recipe

NETWORK = Recipe(functools.partial(GRU, 5, 8))


def recorded(obs="vector"):
    sampler = tiny_sampler(obs=obs, action="discrete", ends=[9, 9, 9, 2, 3, 9])
    agent = Scripted(discrete=True)
    episode, _ = sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()))
    torch.manual_seed(0)
    return sampler.spec, episode.step


@pytest.mark.parametrize("latent_dim", [0, 3])
def test_sequences_give_the_values_of_single_steps(latent_dim):
    spec, steps = recorded()
    model = RecurrentQ(spec, NETWORK, [8], "float32", latent_dim)
    model.memory.update_statistics(steps)
    latent = torch.randn(6, latent_dim) if latent_dim else None
    whole, memory = model.sequence(steps, latent), model.memory.initial_state(6)
    assert whole.shape == (4, 6, 3)
    for t in range(4):
        values, memory = model.step(tree.index(steps, t), memory, latent)
        seen = steps.active[t] > 0
        assert_close(values[seen], whole[t, seen])


def test_the_latent_changes_values():
    spec, steps = recorded()
    model = RecurrentQ(spec, NETWORK, [8], "float32", 3)
    ones = torch.ones(6, 3)
    assert not model.sequence(steps, ones).equal(model.sequence(steps, -ones))


def test_advantages_of_all_actions_add_up_to_nothing():
    spec, steps = recorded()
    model = RecurrentQ(spec, NETWORK, [8], "float32")
    hidden = model.trunk(model.memory.sequence(steps))
    assert_close(model.sequence(steps).mean(-1), model.value(hidden).squeeze(-1))


def test_images_seen_in_low_precision_have_nearly_the_same_values_and_gradients():
    spec, steps = recorded("image")
    found = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(1)
        model = RecurrentQ(spec, NETWORK, [8], precision)
        values = model.sequence(steps)[steps.active > 0]
        values.square().sum().backward()
        vision = model.memory.inputs.vision
        found.append((values.detach(), vision.project.weight.grad, vision.layers[0].weight.grad))
    for exact, rough in zip(*found, strict=True):
        assert rough.dtype == torch.float32 and not exact.equal(rough)
        assert (exact - rough).norm() < 0.1 * exact.norm()


def test_continuous_actions_are_refused():
    with pytest.raises(UserError, match="need discrete actions"):
        RecurrentQ(tiny_sampler().spec, NETWORK, [8], "float32")
