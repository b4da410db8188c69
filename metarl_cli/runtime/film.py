"""Pictures of a trial: what an agent really does while it adapts to a test task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.protocols import Agent, Simulation
from metarl_cli.core.types import Observation, StepResult
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime.evaluator import online_episodes

MOST_FRAMES = 100  # of an episode, and its start and end: a MuJoCo scene may take 0.1 s
COLUMNS = 3  # episodes of a trial that are filmed unless somebody wants more
_NOT_SHOWN = ("reward", "unstable")  # beginnings of info: the return is shown in any case
_RECENT = 10  # steps over which what happens is averaged: a run is no smooth motion


FixedTasks = Literal["validation", "test"]


@runtime_checkable
class DrawnSimulation(Simulation, Protocol):
    """A simulation that shows itself."""

    def draw(self, row: int) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""


@dataclass(frozen=True)
class Moment:
    """What is to be seen and known at a step of an episode."""

    frame: np.ndarray  # uint8 [height, width, 3]
    total_reward: float  # so far
    info: dict[str, float]  # what the environment reports beside rewards: mean of the last steps


@dataclass(frozen=True)
class FilmedEpisode:
    """One episode of one environment."""

    index: int  # in its trial, 0..K
    moments: dict[int, Moment]  # by the number of steps taken
    total_reward: float

    @property
    def frames(self) -> dict[int, np.ndarray]:
        """The pictures, uint8 `[height, width, 3]`, by the number of steps taken."""
        return {step: moment.frame for step, moment in self.moments.items()}


class FilmedSimulation:
    """A simulation whose first row is drawn as long as its episode lasts.

    Args:
        simulation: what is filmed.
        episodes: indices of the episodes that are drawn.
        every: so many steps; the start and the end of an episode are drawn in any case.
        on_step: called after each step of any episode.
    """

    def __init__(
        self,
        simulation: DrawnSimulation,
        *,
        episodes: Sequence[int],
        every: int,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        self.num_envs, self.device = simulation.num_envs, simulation.device
        self.spec, self.info_keys = simulation.spec, simulation.info_keys
        self.moments: dict[int, dict[int, Moment]] = {k: {} for k in episodes}  # by step
        self._simulation, self._every, self._on_step = simulation, every, on_step
        shown = [key for key in simulation.info_keys if not key.startswith(_NOT_SHOWN)]
        self._recent: dict[str, deque[float]] = {key: deque(maxlen=_RECENT) for key in shown}
        self._total_reward = 0.0
        self._episode, self._step, self._filming = -1, 0, False

    def reset(self, task: Tensor, *, seed: int) -> Observation:
        """Begin an episode in every row."""
        obs = self._simulation.reset(task, seed=seed)
        self._episode, self._step = self._episode + 1, 0
        self._filming = self._episode in self.moments
        self._total_reward = 0.0
        for values in self._recent.values():
            values.clear()
        if self._filming:
            self._draw()
        return obs

    def step(self, action: Tensor) -> StepResult:
        """Advance every row that has not ended its episode."""
        result = self._simulation.step(action)
        self._on_step()
        if self._filming:
            self._step += 1
            self._total_reward += float(result.reward[0])
            for key, values in self._recent.items():
                values.append(float(result.info[key][0]))
            self._filming = not bool(result.terminated[0] | result.truncated[0])
            if not self._filming or self._step % self._every == 0:
                self._draw()
        return result

    def close(self) -> None:
        """Release what only it needed."""
        self._simulation.close()

    def _draw(self) -> None:
        info = {key: sum(x) / len(x) for key, x in self._recent.items() if x}
        moment = Moment(self._simulation.draw(0), self._total_reward, info)
        self.moments[self._episode][self._step] = moment


def film_trial(
    agent: Agent,
    simulation: DrawnSimulation,
    split: TaskSplit,
    *,
    task: int,
    episodes: int,
    seed: int,
    most: int = COLUMNS,
    kind: FixedTasks = "test",
    on_step: Callable[[], None] = lambda: None,
) -> list[FilmedEpisode]:
    """Film online episodes of the meta-test in one task: before and after 1, after K adaptations.

    Of more episodes some between these.

    Args:
        agent: who acts and adapts.
        simulation: as many environments as the agent has per task in its meta-test; the first one
            is filmed.
        split: knows the tasks.
        task: index into them.
        episodes: K; all of k = 0..K are played.
        seed: of start states and actions.
        most: episodes to film.
        kind: which tasks `task` is one of.
        on_step: called after each step of any episode.
    """
    chosen = _chosen(episodes, most)
    every = -(-simulation.spec.horizon // MOST_FRAMES)
    filmed = FilmedSimulation(simulation, episodes=chosen, every=every, on_step=on_step)
    tasks = tree.index(split.fixed(kind), slice(task, task + 1))
    sampler = Sampler(filmed, split, num_tasks=1, seed=seed)
    trial = online_episodes(agent, sampler, tasks, episodes=episodes, seed=seed)
    return [
        FilmedEpisode(k, moments, float(trial[k].episode_return[0]))
        for k, moments in filmed.moments.items()
    ]


def _chosen(episodes: int, most: int) -> list[int]:
    """Return at most so many of 0..K in order: K, 0, 1, and then evenly spread ones."""
    first = [episodes, 0, 1][:most]
    between = np.linspace(1, episodes, max(most - 1, 1)).round().astype(int).tolist()
    return sorted({k for k in first + between * (most > len(first)) if 0 <= k <= episodes})
