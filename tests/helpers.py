"""Agents, settings and processes that many tests share; the tiny environment is `testing.tiny`."""

from __future__ import annotations

import random
import string
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    "curves=false",
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


@contextmanager
def own_processes() -> Iterator[Callable[..., subprocess.Popen]]:
    """Give a `subprocess.Popen` whose processes do not outlive the block."""
    started: list[subprocess.Popen] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen:
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()


def typo(word: str, rng: random.Random, start: int = 0) -> str:
    """Drop, double, replace or swap one letter of a word, from `start` on."""
    place = rng.randrange(start, len(word))
    letter = rng.choice(string.ascii_lowercase)
    return rng.choice(
        [
            word[:place] + word[place + 1 :],
            word[:place] + letter + word[place:],
            word[:place] + letter + word[place + 1 :],
            word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
        ]
    )
