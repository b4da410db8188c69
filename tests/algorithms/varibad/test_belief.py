import functools

import pytest
import torch
from helpers import Scripted, tiny_sampler
from torch.testing import assert_close

from metarl_cli.algorithms.varibad.belief import LOG_STD_RANGE, BeliefEncoder
from metarl_cli.core import tree
from metarl_cli.networks.memory import GRU, LSTM
from metarl_cli.networks.recipe import Recipe
from metarl_cli.networks.transformer import Transformer

Z = 3
NETWORKS = {
    "gru": Recipe(functools.partial(GRU, 5, 8)),
    "lstm": Recipe(functools.partial(LSTM, 5, 8)),
    "transformer": Recipe(functools.partial(Transformer, 8, 2, 1, 4)),
}


def recorded(ends=None, network="gru"):
    """An encoder and the steps of two inner episodes, `[8, 6]`."""
    sampler, agent = tiny_sampler(ends=ends), Scripted()
    trials, _ = sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()), episodes=2)
    torch.manual_seed(0)
    return BeliefEncoder(sampler.spec, NETWORKS[network], Z), trials.step


def by_steps(encoder, steps):
    state, beliefs = encoder.memory.initial_state(6), []
    for t in range(len(steps.active)):
        belief, state = encoder.step(tree.index(steps, t), state)
        beliefs.append(belief)
    return tree.stack(beliefs)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("ends", [None, [2, 9, 1, 9, 9, 3]], ids=["whole", "gaps"])
def test_step_form_and_sequence_form_hold_the_same_beliefs(ends, network):
    encoder, steps = recorded(ends, network)
    encoder.memory.update_statistics(steps)
    mask = steps.active.bool()
    ours, theirs = by_steps(encoder, steps), encoder.sequence(steps)
    assert ours.mean.shape == (8, 6, Z)
    assert_close(ours.mean[mask], theirs.mean[mask], rtol=1e-4, atol=1e-5)
    assert_close(ours.log_std[mask], theirs.log_std[mask], rtol=1e-4, atol=1e-5)


def test_belief_at_the_start_of_an_episode_knows_of_the_one_before():
    encoder, steps = recorded()
    before = encoder.sequence(steps).mean
    steps.prev_reward[2, 1] += 1
    change = (encoder.sequence(steps).mean - before).abs().amax(-1) > 1e-6
    assert change[:, 1].tolist() == [False] * 2 + [True] * 6
    assert not change[:, [0, 2, 3, 4, 5]].any()


def test_belief_does_not_depend_on_the_task_itself():
    encoder, steps = recorded()
    before = encoder.sequence(steps)
    steps.task = steps.task + 1
    assert encoder.sequence(steps).mean.equal(before.mean)


def test_spread_of_a_belief_is_bounded():
    encoder, steps = recorded()
    for bias, bound in zip((-99.0, 99.0), LOG_STD_RANGE, strict=True):
        torch.nn.init.constant_(encoder.head.bias, bias)
        assert encoder.sequence(steps).log_std.eq(bound).all()
