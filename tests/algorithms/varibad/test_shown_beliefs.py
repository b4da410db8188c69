"""What task inference and VariBAD tell of their beliefs, step by step."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from metarl_cli.algorithms.varibad.belief import BELIEF
from metarl_cli.commands.parts.assemble import build_network
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.core.protocols import InfersTask, PredictsReward
from metarl_cli.envs.grids.gridworld import GridNavigation
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit

SHARP = -20.0  # log standard deviation of a belief that is a point


def bench(name):
    """An untrained agent, and a trial of 2 episodes of 3 steps in 4 environments."""
    torch.manual_seed(0)
    settings = ["network.hidden=8", "algo.latent_dim=3", f"experiment={name}/gridnavi"]
    cfg = compose("train", settings)
    cfg.env.horizon = 3
    family: GridNavigation = build(cfg.env)
    network = build_network(cfg.network)
    agent = build(cfg.algo, spec=family.spec, network=network)
    sampler = Sampler(family.simulate(4), TaskSplit(family, **cfg.env.tasks), num_tasks=4, seed=0)
    trial, _ = sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()), episodes=2)
    return agent, trial


def with_belief(trial, mean, log_std):
    extras = trial.extras | {BELIEF: torch.cat([mean, torch.full_like(mean, log_std)], -1)}
    return dataclasses.replace(trial, extras=extras)


def test_task_inference_tells_a_distribution_over_all_tasks_at_every_step():
    agent, trial = bench("task_inference")
    assert isinstance(agent, InfersTask)
    log_probs = agent.task_log_probs(trial)
    assert log_probs.shape == (6, 4, 21)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(6, 4))
    mean = torch.randn(6, 4, 3)
    certain = agent.task_log_probs(with_belief(trial, mean, SHARP))
    torch.testing.assert_close(certain, agent.decoder(mean), atol=1e-5, rtol=1e-5)


def test_task_inference_averages_chances_over_what_the_latent_may_be():
    agent, trial = bench("task_inference")
    torch.manual_seed(1)
    log_probs = agent.task_log_probs(with_belief(trial, torch.zeros(6, 4, 3), 1.0))
    many = torch.randn(20_000, 3) * torch.tensor(1.0).exp()
    mixture = agent.decoder(many).exp().mean(0)
    assert (log_probs.exp().mean((0, 1)) - mixture).abs().max() < 0.01


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_varibad_foretells_the_reward_of_each_transition_from_each_belief(likelihood):
    agent, trial = bench("varibad")
    assert isinstance(agent, PredictsReward) and not isinstance(agent, InfersTask)
    agent.model.reward_likelihood = likelihood
    mean = torch.randn(6, 4, 3)
    cells, moves = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([1, 4])
    after = torch.tensor([[0.0, 2.0], [1.0, 3.0]])
    foretold = agent.predicted_reward(with_belief(trial, mean, SHARP), cells, moves, after)
    assert foretold.shape == (6, 4, 2)
    for t, b, q in [(0, 0, 0), (5, 3, 1), (2, 1, 0)]:
        one = [x[q].view(1, 1, *x.shape[1:]) for x in (cells, moves, after)]
        reward = agent.model.reward(mean[t, b].view(1, 1, 3), *one).view(())
        expected = reward.sigmoid() if likelihood == "bernoulli" else reward
        torch.testing.assert_close(foretold[t, b, q], expected, atol=1e-5, rtol=1e-5)
