"""VariBAD's model of transitions: what it decodes, and that dynamics are told apart by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from helpers import tiny_sampler
from omegaconf import OmegaConf
from torch.testing import assert_close

from metarl_cli.commands.parts.assemble import build_network
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory

LINE = Box(-1, 1, (1,), np.float32)
POINT = EnvSpec(LINE, LINE, LINE, horizon=4)
SMALL = {"num_tasks": 3, "envs_per_task": 2, "episodes": 2, "decoder_hidden": [16, 16]}


def built(spec, *, learner=None, **elbo):
    """A small VariBAD."""
    cfg = compose("train", ["algo=varibad", "env=point_nav", "network.hidden=16"])
    elbo["learner"] = {"batch": 16, **(learner or {})}
    algo = OmegaConf.merge(cfg.algo, SMALL, {"elbo": elbo})
    torch.manual_seed(0)
    return build(algo, spec=spec, network=build_network(cfg.network))


def pushed_points(num=64, length=6):
    """Trials `[T, M]` of points that actions push forward or, in the other task, backward."""
    task = torch.tensor([-1.0, 1.0]).repeat(num // 2)
    action = 2 * torch.rand(length, num) - 1
    position = torch.cat([torch.zeros(1, num), (task * action).cumsum(0)])
    before = torch.cat([torch.zeros(1, num), action[:-1]])
    zeros, ones = torch.zeros(length, num), torch.ones(length, num)
    step = TimeStep(
        obs=position[:-1, :, None],
        prev_action=before[..., None],
        prev_reward=zeros,
        first=zeros,
        active=ones,
        task=zeros[..., None],
    )
    return Trajectory(step, action[..., None], zeros, position[1:, :, None], zeros)


def test_state_loss_falls_below_that_of_the_best_guess_without_the_task():
    learner = {"updates": 10, "learning_rate": 0.01}
    algorithm = built(POINT, learner=learner, state_weight=1.0, kl_weight=0.1)
    trials = pushed_points()
    algorithm.model.update_statistics(trials)
    algorithm.learner.buffer.add(trials)
    after = algorithm.model.state.features_after
    still = (after(trials.step.obs) - after(trials.next_obs)).square().mean()
    blind = float(still) * 6 * 6  # pushes forward and backward cancel; from 6 steps, 6 decoded
    for _ in range(10):
        metrics = algorithm.learner.improve(algorithm.negative_elbo)  # 10 updates
    assert metrics["belief/state_loss"] < 0.5 * blind


def test_states_are_not_decoded_without_a_weight():
    sampler = tiny_sampler()
    algorithm = built(sampler.spec, state_weight=0.0)
    assert algorithm.model.decoders == [algorithm.model.reward]
    assert len(algorithm.learned()["model"]) == 2  # encoder and reward decoder
    assert "belief/state_loss" not in algorithm.train_step(sampler)


@pytest.mark.parametrize("obs", ["vector", "discrete", "grid"])
def test_states_are_decoded_with_a_weight(obs):
    sampler = tiny_sampler(obs=obs, ends=[2, 9, 1, 9, 9, 3])
    algorithm = built(sampler.spec, state_weight=1.0)
    before = algorithm.model.state.decode.out.weight.clone()
    assert algorithm.train_step(sampler)["belief/state_loss"] > 0
    assert not algorithm.model.state.decode.out.weight.equal(before)
    assert algorithm.model.state in list(algorithm.learned()["model"])


def test_the_weight_scales_the_state_loss_within_the_whole():
    totals = []
    for weight in (1.0, 3.0):
        algorithm = built(POINT, state_weight=weight)
        torch.manual_seed(1)
        with torch.no_grad():
            totals.append(algorithm.negative_elbo(pushed_points(num=4)))
    (once, terms), (thrice, same) = totals
    assert terms["state_loss"].equal(same["state_loss"])
    assert_close(sum(thrice) - sum(once), 2 * terms["state_loss"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("obs", "weight", "said"),
    [
        ("vector", -1.0, "state_weight: got -1.0, expected a number >= 0"),
        ("image", 1.0, "state_weight: next states are images"),
    ],
)
def test_weights_without_meaning_are_refused_in_one_line(obs, weight, said):
    with pytest.raises(UserError, match=said) as error:
        built(tiny_sampler(obs=obs).spec, state_weight=weight)
    assert "\n" not in str(error.value)


def test_the_policy_learns_only_after_the_warm_up_and_the_model_all_the_time():
    sampler = tiny_sampler()
    steps = SMALL["episodes"] * sampler.simulation.num_envs * sampler.spec.horizon
    algorithm = built(sampler.spec, warmup_steps=steps)
    encoder, head = algorithm.agent.encoder.head.weight, algorithm.agent.policy.critic_head.weight
    for policy_learns in (False, True):
        before = encoder.clone(), head.clone()
        metrics = algorithm.train_step(sampler)
        assert not encoder.equal(before[0])
        assert head.equal(before[1]) != policy_learns
        assert ("ppo/entropy" in metrics) == policy_learns
