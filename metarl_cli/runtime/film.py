"""Pictures of a trial: what an agent really does while it adapts to a held-out task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from metarl_cli.core import tree
from metarl_cli.core.protocols import Agent
from metarl_cli.rollouts.sampler import Sampler, TaskEnv
from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime.evaluator import online_episodes

MOST_EPISODES = 6  # of a trial: adaptation may take a hundred
MOST_FRAMES = 100  # of an episode, and its start and end: a MuJoCo scene may take 0.1 s


class DrawnEnv(TaskEnv, Protocol):
    """An environment that a sampler can use and that shows itself."""

    def draw(self, row: int) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""


@dataclass(frozen=True)
class FilmedEpisode:
    """One episode of one environment."""

    index: int  # in its trial, 0..K
    frames: dict[int, np.ndarray]  # uint8 [height, width, 3], by the number of steps taken
    total_reward: float


class FilmedEnv:
    """A batch of environments whose first row is drawn as long as its episode lasts.

    Args:
        env: the batch.
        episodes: indices of the episodes that are drawn.
        every: so many steps; the start and the end of an episode are drawn in any case.
    """

    def __init__(self, env: DrawnEnv, *, episodes: Sequence[int], every: int) -> None:
        self.num_envs, self.env_spec, self.info_keys = env.num_envs, env.env_spec, env.info_keys
        self.frames: dict[int, dict[int, np.ndarray]] = {k: {} for k in episodes}  # by step
        self._env, self._every = env, every
        self._episode, self._step, self._filming = -1, 0, False

    def reset(self, *, seed: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every row."""
        started = self._env.reset(seed=seed, options=options)
        self._episode, self._step = self._episode + 1, 0
        self._filming = self._episode in self.frames
        if self._filming:
            self._draw()
        return started

    def step(
        self, actions: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every row that has not ended its episode."""
        obs, reward, terminated, truncated, info = self._env.step(actions)
        if self._filming:
            self._step += 1
            self._filming = not (terminated[0] or truncated[0])
            if not self._filming or self._step % self._every == 0:
                self._draw()
        return obs, reward, terminated, truncated, info

    def _draw(self) -> None:
        self.frames[self._episode][self._step] = self._env.draw(0)


def film_trial(
    agent: Agent,
    env: DrawnEnv,
    split: TaskSplit,
    *,
    task: int,
    episodes: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[FilmedEpisode]:
    """Film online episodes of the meta-test in one held-out task, of many some, evenly spread.

    Args:
        agent: who acts and adapts.
        env: as many environments as the agent has per task in its meta-test; the first is filmed.
        split: knows the held-out tasks.
        task: index into them.
        episodes: K; all of k = 0..K are played.
        seed: of start states and actions.
        device: of the agent.
    """
    chosen = np.unique(np.linspace(0, episodes, MOST_EPISODES).round().astype(int)).tolist()
    filmed = FilmedEnv(env, episodes=chosen, every=-(-env.env_spec.horizon // MOST_FRAMES))
    held_out = tree.index(split.fixed("test"), slice(task, task + 1))
    sampler = Sampler(filmed, split, num_tasks=1, seed=seed, device=device)
    trial = online_episodes(agent, sampler, held_out, episodes=episodes, seed=seed)
    return [
        FilmedEpisode(k, frames, float(trial[k].episode_return[0]))
        for k, frames in filmed.frames.items()
    ]
