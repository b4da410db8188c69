"""The base class of all environments: a batch of episodes, each with its own task.

Letters: `B` environments, `D` task size, `O` observation size, `A` action size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.types import EnvSpec
from metarl_cli.envs.random_rows import RowRandom


@dataclass(slots=True)
class Outcome:
    """What one simulated step gave, for all rows: `[B]` each (rows not simulated are ignored)."""

    reward: np.ndarray  # float64
    terminated: np.ndarray  # bool: a terminal state of the task, not a time limit
    unstable: np.ndarray  # bool: the simulation blew up, the new state means nothing
    info: dict[str, np.ndarray]  # float64 under each of the class's `info_keys` but "unstable"


class TaskVectorEnv(VectorEnv):
    """`num_envs` environments of one family, each in the task (one MDP) of its row.

    Nothing is reset by itself: a row whose episode has ended stands still (observation repeated,
    reward 0) until `reset`. Subclasses say how episodes begin (`_initialize`), go on (`_simulate`)
    and look (`_observe`), and how uniform numbers become tasks (`_tasks_from_uniform`).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium's attribute)
        "autoreset_mode": AutoresetMode.DISABLED,
        "render_modes": [],
    }
    info_keys: tuple[str, ...] = ("unstable",)  # keys of info in every reset and step, [B] each
    all_tasks: np.ndarray | None = None  # [num, D], where the family has finitely many tasks

    def __init__(
        self,
        *,
        observation_space: Box,
        action_space: Box | Discrete,
        task_space: Box,
        task_names: tuple[str, ...],
        horizon: int,
        num_envs: int,
        render_mode: str | None = None,
    ) -> None:
        require_positive(horizon=horizon, num_envs=num_envs)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            legal = self.metadata["render_modes"]
            raise ValueError(f"render_mode: got {render_mode!r}, expected None or one of {legal}")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        if isinstance(action_space, Box):
            self._action_low = action_space.low.astype(np.float64)
            self._action_high = action_space.high.astype(np.float64)
        self.env_spec = EnvSpec(observation_space, action_space, task_space, horizon)
        self.task_names = task_names
        self.horizon = horizon
        self.tasks = np.zeros((num_envs, task_space.shape[0]))  # [B, D], current
        self._random = RowRandom(num_envs)
        self._task_given = np.zeros(num_envs, bool)
        self._started = np.zeros(num_envs, bool)
        self._active = np.zeros(num_envs, bool)
        self._elapsed = np.zeros(num_envs, np.int64)
        self._last_obs = np.zeros((num_envs, *observation_space.shape), observation_space.dtype)

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `[num, D]` float64 tasks of the family; the batch's own state plays no part."""
        return self._tasks_from_uniform(rng.random((num, self.tasks.shape[1])))

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Begin new episodes.

        Args:
            seed: s seeds row i with s + i, a sequence gives one seed per row, and None lets the
                rows' random streams go on.
            options: `task`, `[B, D]` or `[D]`, kept by its rows until another is given (rows that
                were never given one draw a new task at each reset); `reset_mask`, bool `[B]`, the
                rows to reset (default all).

        Returns:
            Observations `[B, ...]` (a copy) and info, an array `[B]` under each of `info_keys`.
        """
        choices = dict(options or {})
        rows = self._rows_of(choices.pop("reset_mask", None))
        task = choices.pop("task", None)
        if choices:
            raise ValueError(f"options: got {sorted(choices)}, expected task, reset_mask")
        if seed is not None:
            self._random.seed(_row_seeds(seed, self.num_envs)[rows], rows)
        self._assign_tasks(task, rows)
        self._started[rows] = True
        self._active[rows] = True
        self._elapsed[rows] = 0
        self._initialize(rows)
        obs = self._observe()
        kept = np.ones(self.num_envs, bool)
        kept[rows] = False
        obs[kept] = self._last_obs[kept]
        self._last_obs[...] = obs
        return obs, {key: np.zeros(self.num_envs) for key in self.info_keys[:-1]} | {
            "unstable": np.zeros(self.num_envs, bool)
        }

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Advance the rows whose episode goes on by one step.

        Args:
            actions: `[B, A]`, clipped to the bounds of the action space; `[B]` if discrete.

        Returns:
            Observations `[B, ...]` (a copy), reward float64 `[B]`, terminated and truncated bool
            `[B]`, and info with an array `[B]` under each of `info_keys`.
        """
        if not self._started.all():
            raise ResetNeeded("call reset() on every row before step()")
        actions = self._checked_actions(actions)
        all_active = bool(self._active.all())
        outcome = self._simulate(actions, None if all_active else np.flatnonzero(self._active))
        obs = self._observe()
        outcome.unstable &= self._active
        if not all_active or outcome.unstable.any():
            self._hold(obs, outcome, ~self._active | outcome.unstable)
        self._last_obs[...] = obs
        self._elapsed += self._active
        timed_out = (self._elapsed >= self.horizon) & self._active & ~outcome.terminated
        truncated = timed_out | outcome.unstable
        self._active &= ~(outcome.terminated | truncated)
        outcome.info["unstable"] = outcome.unstable
        return obs, outcome.reward, outcome.terminated, truncated, outcome.info

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the random streams: all that outlives an episode but the tasks."""
        return {"random": self._random.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the random streams of `state_dict`; follow it with `reset`."""
        self._random.load_state_dict(state["random"])

    @abstractmethod
    def _tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` numbers from U[0, 1) to tasks `[num, D]` of the family."""

    @abstractmethod
    def _initialize(self, rows: np.ndarray) -> None:
        """Put the given rows in a start state, drawing from `self._random` only."""

    @abstractmethod
    def _simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Apply legal `actions` `[B, A]` in the given rows (None: all) for one step."""

    @abstractmethod
    def _observe(self) -> np.ndarray:
        """Return the observations of all rows, `[B, ...]`, as a new array."""

    def _hold(self, obs: np.ndarray, outcome: Outcome, held: np.ndarray) -> None:
        obs[held] = self._last_obs[held]
        for values in (outcome.reward, outcome.terminated, *outcome.info.values()):
            values[held] = 0

    def _rows_of(self, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(
                f"reset_mask: got shape {mask.shape} of {mask.dtype}, "
                f"expected shape ({self.num_envs},) of bool"
            )
        return np.flatnonzero(mask)

    def _assign_tasks(self, task: np.ndarray | None, rows: np.ndarray) -> None:
        # Drawn even if not needed: the start state of a seed must not depend on who chose the task.
        drawn = self._tasks_from_uniform(self._random.uniform(self.tasks.shape[1], rows))
        if task is None:
            free = ~self._task_given[rows]
            self.tasks[rows[free]] = drawn[free]
            return
        tasks = np.asarray(task, np.float64)
        if tasks.shape not in (self.tasks.shape, self.tasks.shape[1:]):
            raise ValueError(
                f"task: got shape {tasks.shape}, "
                f"expected {self.tasks.shape} or {self.tasks.shape[1:]}"
            )
        if not np.isfinite(tasks).all():
            raise ValueError(f"task: got {tasks.tolist()}, expected finite numbers")
        self.tasks[rows] = np.broadcast_to(tasks, self.tasks.shape)[rows]
        self._task_given[rows] = True

    def _checked_actions(self, actions: np.ndarray) -> np.ndarray:
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise ValueError(
                f"actions: got shape {actions.shape}, expected {self.action_space.shape}"
            )
        if not isinstance(self.single_action_space, Box):
            return actions
        actions = actions.astype(np.float64)
        finite = np.isfinite(actions.sum()) or np.isfinite(actions).all()  # the sum is quick
        if not finite:
            row = int(np.flatnonzero(~np.isfinite(actions).all(axis=1))[0])
            raise NonFiniteError(f"non-finite action in environment {row}: {actions[row]}")
        np.maximum(actions, self._action_low, out=actions)
        return np.minimum(actions, self._action_high, out=actions)


def require_positive(**values: float) -> None:
    """Raise ValueError for the first named value that is not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name}: got {value}, expected a number > 0")


def require_range(name: str, bounds: Sequence[float]) -> tuple[float, float]:
    """Return `[low, high]` as a pair of floats, or raise ValueError if it is not an interval."""
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise ValueError(f"{name}: got {list(bounds)}, expected [low, high] with low < high")
    return float(bounds[0]), float(bounds[1])


def _row_seeds(seed: int | Sequence[int], num: int) -> np.ndarray:
    first = range(int(seed), int(seed) + num) if isinstance(seed, int | np.integer) else seed
    seeds = [int(value) for value in first]
    if len(seeds) != num or min(seeds) < 0:
        raise ValueError(f"seed: got {seed}, expected an integer >= 0 or {num} of them")
    return np.asarray(seeds, np.uint64)
