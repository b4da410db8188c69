"""Algorithms act, adapt and train on the device of the simulation, with the numbers of the CPU."""

from __future__ import annotations

import copy

import pytest
import torch
from other_device import OTHER, OtherDevice

from metarl_cli.config.compose import options_of
from metarl_cli.testing.test_algorithms import SPACES, construct, refusal

CPU = torch.device("cpu")


def cases():
    """All that each algorithm takes: one in the fast tests, those with pictures among the slow."""
    for name in options_of("algo"):
        taken = [spaces for spaces in SPACES if refusal(name, *spaces) is None]
        for index, spaces in enumerate(taken):
            marks = [pytest.mark.slow] if index else []
            yield pytest.param(name, *spaces, marks=marks, id="-".join((name, *spaces)))


def trained(name, obs, action, device, learned=None):
    """Metrics of two iterations, and what is done greedily after an adaptation."""
    it = construct(name, obs, action, device=device, ends=[2, 9, 1, 9, 9, 3])
    start = copy.deepcopy({key: part.state_dict() for key, part in it.algorithm.learned().items()})
    for key, part in it.algorithm.learned().items():
        part.load_state_dict((learned or start)[key])
    torch.manual_seed(1)
    metrics = [it.algorithm.train_step(it.sampler) or {} for _ in range(2)]
    episode, trial = it.run()
    greedy, trial = it.run(trial.adapt(it.algorithm, episode), explore=False)
    for x in (episode.action, greedy.action, trial.prev_action):
        assert x.device == device
    return start, metrics, greedy.action.cpu()


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta")
@pytest.mark.parametrize(("name", "obs", "action"), list(cases()))
def test_algorithm_stays_on_the_device_of_the_simulation(name, obs, action):
    """A tensor made on the CPU by mistake would meet one of the other device, which refuses."""
    start, expected, greedy = trained(name, obs, action, CPU)
    with OtherDevice():
        _, metrics, there = trained(name, obs, action, OTHER, start)
    for ours, theirs in zip(metrics, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    torch.testing.assert_close(there, greedy, rtol=1e-4, atol=1e-5)
