"""Agents and settings that many tests share; the tiny environment is `metarl_cli.testing.tiny`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from metarl_cli.core.types import Output, Trajectory
from metarl_cli.testing.tiny import (
    NUM_ACTIONS,
    NUM_STATES,
    SPLIT,
    TinyFamily,
    batch_of,
    tiny_sampler,
)

__all__ = ["NUM_STATES", "SPLIT", "TinyFamily", "batch_of", "tiny_sampler"]

# Settings of the smallest runs
TINY = [
    "env=point_nav",
    "env.horizon=10",
    "env.tasks.num_test=2",
    "algo.num_tasks=2",
    "algo.envs_per_task=3",
    "meta_test.envs_per_task=2",
    "meta_test.episodes=2",
    "logger=[jsonl]",
    "threads=1",
]


@dataclass
class Scripted:
    """An agent whose t-th action of a trial is t / 10 in every component (t mod 3 if discrete)."""

    discrete: bool = False
    device: str = "cpu"

    def initial_state(self, num_tasks: int, envs_per_task: int) -> int:
        return 0

    def act(self, state: int, step: Any, *, explore: bool) -> Output:
        rows = len(step.first)
        if self.discrete:
            action = torch.full((rows,), state % NUM_ACTIONS, device=self.device)
        else:
            action = torch.full((rows, 2), state / 10, device=self.device)
        age = torch.full((rows,), float(state), device=self.device)
        return Output(action, state + 1, {"age": age})

    def adapt(self, state: int, episode: Any) -> int:
        return state + 100


class Noisy(Scripted):
    """Continuous actions from torch's global generator; zero if not exploring."""

    def act(self, state: int, step: Any, *, explore: bool) -> Output:
        noise = torch.rand(len(step.first), 2)
        return Output(noise if explore else torch.zeros_like(noise), state + 1)


def run_trials(agent: Any, sampler: Any, episodes: int = 1) -> Trajectory:
    """The steps `[T, B]` of an agent in a new batch of training tasks."""
    start = sampler.begin(agent, sampler.sample_tasks())
    return sampler.run(agent, start, episodes=episodes)[0]


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Networks this small lose more by waiting for a second thread than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
