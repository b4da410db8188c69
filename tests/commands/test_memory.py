"""Sizes that cannot fit are refused by an estimate, before anything is allocated."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers import TINY

from metarl_cli.buffers.memory import (
    Ceiling,
    available_bytes,
    says_out_of_memory,
    step_bytes,
    total_bytes,
)
from metarl_cli.cli import main
from metarl_cli.core.errors import UserError
from metarl_cli.testing.tiny import TinyFamily

CPU = torch.device("cpu")
HUGE = {
    "maml": [
        "algo.num_tasks=1000000000",
        "algo.envs_per_task=1000000000000",
        "algo.num_tasks=100000000000000000000000",
        "env.horizon=100000000000",
        "env.tasks.num_test=1000000000",
        "meta_test.envs_per_task=10000000000",
        "network.hidden=[1000000,1000000]",
        "network.hidden=[1000000000000,1000000000000000]",
    ],
    "pearl": [
        "algo.replay_capacity=1000000000000",
        "env.tasks.num_train=1000000000000",
        "algo.latent_dim=1000000000",
    ],
    "varibad": ["algo.elbo.learner.buffer_trials=1000000000000", "algo.latent_dim=1000000000"],
    "rl2": ["network.hidden=10000000", "algo.episodes=100000000000"],
    "hyperx": ["algo.exploration.num_features=100000000000"],
    "scratch_ppo": ["algo.num_tasks=1000000000"],
}


@pytest.fixture
def little_address_space() -> Iterator[None]:
    """Should anything be allocated after all, it fails instead of taking the machine's memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (32 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("algo", "size"), [(algo, size) for algo, sizes in HUGE.items() for size in sizes]
)
def test_a_size_that_cannot_fit_is_one_line_with_an_estimate_and_leaves_no_folder(
    algo: str, size: str, here, little_address_space, capsys: pytest.CaptureFixture
) -> None:
    settings = [x for x in TINY if x.partition("=")[0] != size.partition("=")[0]]
    assert main(["train", *settings, f"algo={algo}", "budget=smoke", size]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "GB of memory: choose a smaller size" in err
    assert list(here.iterdir()) == []


def test_an_ordinary_size_is_not_refused() -> None:
    with Ceiling(CPU):
        layer = torch.nn.Linear(1000, 1000)
    assert layer.weight.shape == (1000, 1000)


def test_networks_are_refused_at_the_layer_with_which_they_no_longer_fit() -> None:
    width = int((available_bytes(CPU) / 8) ** 0.5) + 10_000
    refused = pytest.raises(UserError, match="networks and replay of these sizes take at least")
    with refused, Ceiling(CPU):
        torch.nn.Linear(8, 8)
        torch.nn.Linear(width, width)


def test_a_step_counts_observation_action_and_four_numbers() -> None:
    assert step_bytes(TinyFamily().spec) == 2 * 4 + 4 * (2 + 4)
    assert step_bytes(TinyFamily(obs="image", action="discrete").spec) > 16 * 24


def test_a_limit_of_address_space_counts_as_memory() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    free = available_bytes(CPU)
    assert 0 < free <= total_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (64 * 2**20, before[1]))
    try:
        assert available_bytes(CPU) < 64 * 2**20
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(10**17),
        lambda: torch.empty(10**15, 10**15),
        lambda: np.zeros(10**17),
        lambda: np.zeros((10**15, 10**15)),
    ],
)
def test_what_libraries_say_when_there_is_no_memory_is_understood(allocate) -> None:
    with pytest.raises(Exception) as caught:
        allocate()
    assert says_out_of_memory(caught.value)
    assert not says_out_of_memory(ValueError("discount: got 1.5"))
