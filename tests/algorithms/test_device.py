"""Agents act and adapt on the device of the simulation; nothing of theirs is made on the CPU."""

from __future__ import annotations

import functools

import pytest
import torch
from helpers import tiny_sampler
from other_device import OTHER, OtherDevice

from algorithms.test_restrictions import ONLY
from metarl_cli.config.build import build
from metarl_cli.config.compose import options_of
from metarl_cli.testing.test_algorithms import E, N, config

FUSED = ("scratch_ppo",)  # adapts with an optimiser that torch does not offer on "meta"


@pytest.mark.parametrize("name", options_of("algo"))
def test_agents_act_and_adapt_on_the_device_of_the_simulation(name):
    cfg = config(name)
    with OtherDevice():
        sampler = tiny_sampler(
            mode=cfg.env.tasks.mode,
            action=ONLY.get(name, "continuous"),
            num_envs=N * E,
            device=OTHER,
        )
        with torch.device(OTHER):
            network = functools.partial(build, cfg.network)
            agent = build(cfg.algo, spec=sampler.spec, network=network)
        trial = sampler.begin(agent, sampler.sample_tasks())
        greedy, _ = sampler.run(agent, trial, explore=False)
        episode, trial = sampler.run(agent, trial)
        assert greedy.action.device == episode.action.device == trial.prev_action.device == OTHER
        if name not in FUSED:
            again, _ = sampler.run(agent, trial.adapt(agent, episode))
            assert again.action.device == OTHER
