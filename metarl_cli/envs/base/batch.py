"""Families that are simulated with NumPy: a batch of episodes, each with its own task.

Letters: `B` environments, `D` task size, `O` observation size, `A` action size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector.utils import batch_space, create_empty_array

from metarl_cli.core.checks import require_positive
from metarl_cli.envs.base.checks import chosen_rows, given_tasks, legal_actions, row_seeds
from metarl_cli.envs.base.family import TaskFamily
from metarl_cli.envs.base.random_rows import RowRandom
from metarl_cli.envs.base.simulation import TensorSimulation

_LITTLE = 8  # steps

Arrays = np.ndarray | dict[str, np.ndarray]  # observations: one array, or one per key of a Dict
Info = dict[str, np.ndarray]  # [B] each
Stepped = tuple[Arrays, np.ndarray, np.ndarray, np.ndarray, Info]


class NumpyFamily(TaskFamily):
    """A family whose environments are arrays: subclasses say which `NumpyBatch` steps them."""

    @abstractmethod
    def batch(self, num_envs: int, *, threads: int = 1) -> NumpyBatch:
        """Return `num_envs` environments; `threads` (0: all CPUs) share physics and pictures."""

    def simulate(
        self, num_envs: int, *, device: torch.device | str = "cpu", threads: int = 1
    ) -> TensorSimulation:
        """See `TaskFamily`; the arrays become tensors of `device`."""
        return TensorSimulation(self.batch(num_envs, threads=threads), device)


@dataclass(slots=True)
class Outcome:
    """What one simulated step gave, for all rows: `[B]` each (rows not simulated are ignored)."""

    reward: np.ndarray  # float64
    terminated: np.ndarray  # bool: a terminal state of the task, not a time limit
    unstable: np.ndarray  # bool: the simulation blew up, the new state means nothing
    info: Info  # float64 under each of the family's `info_keys` but "unstable"


Family = TypeVar("Family", bound=NumpyFamily)


class NumpyBatch(ABC, Generic[Family]):
    """`num_envs` environments of one family, each in the task (one MDP) of its row.

    Nothing is reset by itself: a row whose episode has ended stands still (observation repeated,
    reward 0) until `reset`. Subclasses say how episodes begin (`initialize`), go on (`simulate`)
    and look (`observe`), and what a picture shows (`draw`).

    Attributes:
        tasks: the current ones, `[B, D]`.
        random: one stream per row.
        active: rows whose episode goes on, bool `[B]`.
        elapsed: steps of the episode, `[B]`.
        last_obs: the observations returned last, `[B, ...]`.
    """

    def __init__(self, family: Family, num_envs: int) -> None:
        require_positive(num_envs=num_envs)
        self.family, self.num_envs = family, num_envs
        self.tasks = np.zeros((num_envs, len(family.task_names)))
        self.random = RowRandom(num_envs)
        self.active = np.zeros(num_envs, bool)
        self.elapsed = np.zeros(num_envs, np.int64)
        self.last_obs = cast(Arrays, create_empty_array(family.observation_space, num_envs))
        self._task_given = np.zeros(num_envs, bool)
        self._started = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int] | np.ndarray | None = None,
        task: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[Arrays, Info]:
        """Begin new episodes.

        Args:
            seed: s seeds row i with s + i, a sequence gives one seed per row, and None lets the
                rows' random streams go on.
            task: `[B, D]` or `[D]`, kept by its rows until another is given (rows that were never
                given one draw a new task at each reset). Tasks outside the task space are refused
                in families with finitely many, and are extrapolation in others.
            mask: bool `[B]`, the rows to reset (default all).

        Returns:
            Observations `[B, ...]` (a copy) and info, an array `[B]` under each of `info_keys`.
        """
        rows = chosen_rows(mask, self.num_envs)
        if seed is not None:
            self.random.seed(row_seeds(seed, self.num_envs)[rows], rows)
        self._assign_tasks(task, rows)
        self._started[rows] = True
        self.active[rows] = True
        self.elapsed[rows] = 0
        self.initialize(rows)
        obs = self.observe()
        kept = np.ones(self.num_envs, bool)
        kept[rows] = False
        self._remember(obs, kept)
        return obs, {key: np.zeros(self.num_envs) for key in self.family.info_keys[:-1]} | {
            "unstable": np.zeros(self.num_envs, bool)
        }

    def step(self, actions: np.ndarray) -> Stepped:
        """Advance the rows whose episode goes on by one step.

        Args:
            actions: `[B, A]`, clipped to the bounds of the action space; `[B]` if discrete.

        Returns:
            Observations `[B, ...]` (a copy), reward float64 `[B]`, terminated and truncated bool
            `[B]`, and info with an array `[B]` under each of `info_keys`.
        """
        if not self._started.all():
            raise ResetNeeded("call reset() on every row before step()")
        actions = legal_actions(actions, self.family.action_space, self.num_envs)
        all_active = bool(self.active.all())
        outcome = self.simulate(actions, None if all_active else np.flatnonzero(self.active))
        obs = self.observe()
        outcome.unstable &= self.active
        held = None
        if not all_active or outcome.unstable.any():
            held = ~self.active | outcome.unstable
            for values in (outcome.reward, outcome.terminated, *outcome.info.values()):
                values[held] = 0
        self._remember(obs, held)
        self.elapsed += self.active
        timed_out = (self.elapsed >= self.family.horizon) & self.active & ~outcome.terminated
        truncated = timed_out | outcome.unstable
        self.active &= ~(outcome.terminated | truncated)
        outcome.info["unstable"] = outcome.unstable
        return obs, outcome.reward, outcome.terminated, truncated, outcome.info

    def play_a_little(self) -> None:
        """Go on to a state whose picture shows what the environment is about."""
        space = batch_space(self.family.action_space, self.num_envs)
        space.seed(0)
        for _ in range(_LITTLE):
            self.step(space.sample())

    @abstractmethod
    def initialize(self, rows: np.ndarray) -> None:
        """Put the given rows in a start state, drawing from `self.random` only."""

    @abstractmethod
    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Apply legal `actions` `[B, A]` in the given rows (None: all) for one step."""

    @abstractmethod
    def observe(self) -> Arrays:
        """Return the observations of all rows, `[B, ...]`, as new arrays."""

    @abstractmethod
    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""

    def close(self) -> None:
        """Release what pictures needed; may be called twice."""

    def _remember(self, obs: Arrays, held: np.ndarray | None) -> None:
        """Repeat the last observation in the rows `held`, and keep all for the next time."""
        for new, last in zip(_entries(obs), _entries(self.last_obs), strict=True):
            if held is not None:
                new[held] = last[held]
            last[...] = new

    def _assign_tasks(self, task: np.ndarray | None, rows: np.ndarray) -> None:
        # Numbers for a task are used up even if it is given: the start state of a seed must not
        # depend on who chose the task.
        size = self.tasks.shape[1]
        draws = ~self._task_given[rows] & (task is None)
        self.random.skip(size, rows[~draws])
        if (free := rows[draws]).size:
            self.tasks[free] = self.family.tasks_from_uniform(self.random.uniform(size, free))
        if task is None:
            return
        finite = None if self.family.all_tasks is None else self.family.task_space
        tasks = given_tasks(task, self.tasks.shape, self.family.task_names, finite)
        self.tasks[rows] = tasks[rows]
        self._task_given[rows] = True


def _entries(obs: Arrays) -> list[np.ndarray]:
    return list(obs.values()) if isinstance(obs, dict) else [obs]
