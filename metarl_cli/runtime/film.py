"""Pictures of a trial: what an agent really does while it adapts to a test task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.protocols import Agent, Simulation
from metarl_cli.core.types import Observation, StepResult
from metarl_cli.loggers.gif import write_gif
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime.evaluator import online_episodes

EPISODE_PLAYING_TIME_MS = 4000
MOST_EPISODES = 6  # of a trial: adaptation may take a hundred
MOST_FRAMES = 100  # of an episode, and its start and end: a MuJoCo scene may take 0.1 s


@runtime_checkable
class DrawnSimulation(Simulation, Protocol):
    """A simulation that shows itself."""

    def draw(self, row: int) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""


@dataclass(frozen=True)
class FilmedEpisode:
    """One episode of one environment."""

    index: int  # in its trial, 0..K
    frames: dict[int, np.ndarray]  # uint8 [height, width, 3], by the number of steps taken
    total_reward: float


class FilmedSimulation:
    """A simulation whose first row is drawn as long as its episode lasts.

    Args:
        simulation: what is filmed.
        episodes: indices of the episodes that are drawn.
        every: so many steps; the start and the end of an episode are drawn in any case.
    """

    def __init__(self, simulation: DrawnSimulation, *, episodes: Sequence[int], every: int) -> None:
        self.num_envs, self.device = simulation.num_envs, simulation.device
        self.spec, self.info_keys = simulation.spec, simulation.info_keys
        self.frames: dict[int, dict[int, np.ndarray]] = {k: {} for k in episodes}  # by step
        self._simulation, self._every = simulation, every
        self._episode, self._step, self._filming = -1, 0, False

    def reset(self, task: Tensor, *, seed: int) -> Observation:
        """Begin an episode in every row."""
        obs = self._simulation.reset(task, seed=seed)
        self._episode, self._step = self._episode + 1, 0
        self._filming = self._episode in self.frames
        if self._filming:
            self._draw()
        return obs

    def step(self, action: Tensor) -> StepResult:
        """Advance every row that has not ended its episode."""
        result = self._simulation.step(action)
        if self._filming:
            self._step += 1
            self._filming = not bool(result.terminated[0] | result.truncated[0])
            if not self._filming or self._step % self._every == 0:
                self._draw()
        return result

    def close(self) -> None:
        """Release what only it needed."""
        self._simulation.close()

    def _draw(self) -> None:
        self.frames[self._episode][self._step] = self._simulation.draw(0)


def film_trial(
    agent: Agent,
    simulation: DrawnSimulation,
    split: TaskSplit,
    *,
    task: int,
    episodes: int,
    seed: int,
) -> list[FilmedEpisode]:
    """Film online episodes of the meta-test in one test task, of many some, evenly spread.

    Args:
        agent: who acts and adapts.
        simulation: as many environments as the agent has per task in its meta-test; the first one
            is filmed.
        split: knows the test tasks.
        task: index into them.
        episodes: K; all of k = 0..K are played.
        seed: of start states and actions.
    """
    chosen = np.unique(np.linspace(0, episodes, MOST_EPISODES).round().astype(int)).tolist()
    every = -(-simulation.spec.horizon // MOST_FRAMES)
    filmed = FilmedSimulation(simulation, episodes=chosen, every=every)
    tasks = tree.index(split.fixed("test"), slice(task, task + 1))
    sampler = Sampler(filmed, split, num_tasks=1, seed=seed)
    trial = online_episodes(agent, sampler, tasks, episodes=episodes, seed=seed)
    return [
        FilmedEpisode(k, frames, float(trial[k].episode_return[0]))
        for k, frames in filmed.frames.items()
    ]


def frames_of(episodes: Sequence[FilmedEpisode]) -> np.ndarray:
    """Return all pictures one after the other, uint8 `[T, height, width, 3]`."""
    return np.stack([frame for episode in episodes for frame in episode.frames.values()])


def write_film(path: Path, episodes: Sequence[FilmedEpisode]) -> None:
    """Write all pictures as an animated GIF."""
    frames = frames_of(episodes)
    time_ms = EPISODE_PLAYING_TIME_MS * len(episodes)
    write_gif(path, frames, most_frames=len(frames), playing_time_ms=time_ms)
