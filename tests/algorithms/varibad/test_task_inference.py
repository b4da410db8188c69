"""What task inference decodes from its beliefs, and what it minimises."""

import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from helpers import run_trials, tiny_sampler
from omegaconf import OmegaConf
from torch.testing import assert_close

from metarl_cli.algorithms.varibad.task_inference import TaskDecoder
from metarl_cli.commands.parts.assemble import build_network
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.core.types import EnvSpec
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe

Z = 2
VECTOR = Box(-1, 1, (3,), np.float32)
TASK = Box(np.array([0.0, -2.0]), np.array([4.0, 2.0]), dtype=np.float64)


def decoder(all_tasks=None):
    spec = EnvSpec(VECTOR, VECTOR, TASK, horizon=5, all_tasks=all_tasks)
    return TaskDecoder(spec, Recipe(functools.partial(MLP, [4], "tanh")), Z, [4])


def answering(out, model):
    """Make a decoder answer the same to all latents."""
    torch.nn.init.zeros_(model.out.weight)
    model.out.bias.data = torch.tensor(out)
    return model


def test_among_finitely_many_tasks_the_loss_is_that_of_the_right_one():
    tasks = np.array([[0.0, 0.0], [1.0, 2.0], [4.0, -2.0]])
    model = answering([0.0, float(np.log(2)), 0.0], decoder(tasks))
    told = torch.tensor([[[1.0, 2.0], [4.0, -2.0], [0.0, 0.0]]])  # [T, B, D]
    loss = model.loss(torch.randn(1, 3, Z), told)
    assert_close(loss, -torch.tensor([[0.5, 0.25, 0.25]]).log())
    assert_close(model(torch.randn(3, Z)).exp().sum(-1), torch.ones(3))


def test_parameters_are_told_in_units_of_the_task_space():
    model = answering([0.5, 0.0], decoder())
    told = torch.tensor([[0.0, -2.0], [3.0, 0.0], [4.0, 2.0]])  # -1 -1, 0.5 0, 1 1
    assert_close(model.loss(torch.randn(3, Z), told), torch.tensor([3.25, 0.0, 1.25]))


@pytest.mark.parametrize("bottleneck", [0.0, 3.0])
def test_loss_is_what_is_not_known_of_the_task_and_the_weighted_distance_from_the_prior(bottleneck):
    cfg = compose("train", ["algo=task_inference", "env=point_nav", "network.hidden=8"])
    small = {"num_tasks": 3, "envs_per_task": 2, "supervision": {"bottleneck": bottleneck}}
    sampler, network = tiny_sampler(), build_network(cfg.network)
    torch.manual_seed(0)
    algorithm = build(OmegaConf.merge(cfg.algo, small), spec=sampler.spec, network=network)
    head = algorithm.agent.encoder.head
    torch.nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([1.0, -1.0] + [0.0] * 18)  # N(m, 1), |m|^2 = 2
    answering([0.0], algorithm.decoder)
    trials = run_trials(algorithm, sampler)
    losses, terms = algorithm.loss(trials)
    assert_close(terms["kl"], torch.tensor(1.0))
    assert_close(terms["task_loss"], trials.step.task.square().mean())
    assert_close(sum(losses), terms["task_loss"] + bottleneck)
