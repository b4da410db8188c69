"""The base class of all environments: a batch of episodes, each with its own task.

Letters: `B` environments, `D` task size, `O` observation size, `A` action size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array

from metarl_cli.core.checks import require_positive
from metarl_cli.core.types import EnvSpec
from metarl_cli.envs.base.checks import chosen_rows, given_tasks, legal_actions, row_seeds
from metarl_cli.envs.base.random_rows import RowRandom

_LITTLE = 8  # steps

Arrays = np.ndarray | dict[str, np.ndarray]  # observations: one array, or one per key of a Dict


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
    and look (`_observe`), how uniform numbers become tasks (`_tasks_from_uniform`), and what a
    picture shows (`draw`).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium's attribute)
        "autoreset_mode": AutoresetMode.DISABLED,
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }
    info_keys: tuple[str, ...] = ("unstable",)  # keys of info in every reset and step, [B] each
    all_tasks: np.ndarray | None = None  # [num, D], where the family has finitely many tasks
    start_shows_task = False  # whether the first observation depends on the task
    test_tasks: np.ndarray | None = None  # [num, D], those of all_tasks never to be trained on

    def __init__(
        self,
        *,
        observation_space: Space[Any],
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
        self.task_space, self.task_names = task_space, task_names
        self.horizon = horizon
        self.tasks = np.zeros((num_envs, task_space.shape[0]))  # [B, D], current
        self._random = RowRandom(num_envs)
        self._task_given = np.zeros(num_envs, bool)
        self._started = np.zeros(num_envs, bool)
        self._active = np.zeros(num_envs, bool)
        self._elapsed = np.zeros(num_envs, np.int64)
        self._last_obs = cast(Arrays, create_empty_array(observation_space, num_envs))

    @property
    def env_spec(self) -> EnvSpec:
        """What an algorithm must know to build its networks."""
        spaces = (self.single_observation_space, self.single_action_space, self.task_space)
        return EnvSpec(*spaces, self.horizon, self.all_tasks)

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `[num, D]` float64 tasks of the family, none of them in `test_tasks`.

        The batch's own state plays no part.
        """
        return self._tasks_from_uniform(rng.random((num, self.tasks.shape[1])))

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Arrays, dict[str, np.ndarray]]:
        """Begin new episodes.

        Args:
            seed: s seeds row i with s + i, a sequence gives one seed per row, and None lets the
                rows' random streams go on.
            options: `task`, `[B, D]` or `[D]`, kept by its rows until another is given (rows that
                were never given one draw a new task at each reset); `reset_mask`, bool `[B]`, the
                rows to reset (default all). Tasks outside the task space are refused in families
                with finitely many, and are extrapolation in others.

        Returns:
            Observations `[B, ...]` (a copy) and info, an array `[B]` under each of `info_keys`.
        """
        choices = dict(options or {})
        rows = chosen_rows(choices.pop("reset_mask", None), self.num_envs)
        task = choices.pop("task", None)
        if choices:
            raise ValueError(f"options: got {sorted(choices)}, expected task, reset_mask")
        if seed is not None:
            self._random.seed(row_seeds(seed, self.num_envs)[rows], rows)
        self._assign_tasks(task, rows)
        self._started[rows] = True
        self._active[rows] = True
        self._elapsed[rows] = 0
        self._initialize(rows)
        obs = self._observe()
        kept = np.ones(self.num_envs, bool)
        kept[rows] = False
        self._remember(obs, kept)
        return obs, {key: np.zeros(self.num_envs) for key in self.info_keys[:-1]} | {
            "unstable": np.zeros(self.num_envs, bool)
        }

    def step(
        self, actions: np.ndarray
    ) -> tuple[Arrays, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Advance the rows whose episode goes on by one step.

        Args:
            actions: `[B, A]`, clipped to the bounds of the action space; `[B]` if discrete.

        Returns:
            Observations `[B, ...]` (a copy), reward float64 `[B]`, terminated and truncated bool
            `[B]`, and info with an array `[B]` under each of `info_keys`.
        """
        if not self._started.all():
            raise ResetNeeded("call reset() on every row before step()")
        actions = legal_actions(actions, self.single_action_space, self.num_envs)
        all_active = bool(self._active.all())
        outcome = self._simulate(actions, None if all_active else np.flatnonzero(self._active))
        obs = self._observe()
        outcome.unstable &= self._active
        held = None
        if not all_active or outcome.unstable.any():
            held = ~self._active | outcome.unstable
            for values in (outcome.reward, outcome.terminated, *outcome.info.values()):
                values[held] = 0
        self._remember(obs, held)
        self._elapsed += self._active
        timed_out = (self._elapsed >= self.horizon) & self._active & ~outcome.terminated
        truncated = timed_out | outcome.unstable
        self._active &= ~(outcome.terminated | truncated)
        outcome.info["unstable"] = outcome.unstable
        return obs, outcome.reward, outcome.terminated, truncated, outcome.info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Draw all rows, uint8 `[height, width, 3]` each; None if no render mode was chosen."""
        return None if self.render_mode is None else tuple(map(self.draw, range(self.num_envs)))

    def play_a_little(self) -> None:
        """Go on to a state whose picture shows what the environment is about."""
        self.action_space.seed(0)
        for _ in range(_LITTLE):
            self.step(self.action_space.sample())

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return what is known exactly: the mean undiscounted return of named policies.

        One number per episode of a trial; the last one stands for all later episodes.
        """
        return {}

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
    def _observe(self) -> Arrays:
        """Return the observations of all rows, `[B, ...]`, as new arrays."""

    @abstractmethod
    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""

    def _remember(self, obs: Arrays, held: np.ndarray | None) -> None:
        """Repeat the last observation in the rows `held`, and keep all for the next time."""
        for new, last in zip(_entries(obs), _entries(self._last_obs), strict=True):
            if held is not None:
                new[held] = last[held]
            last[...] = new

    def _assign_tasks(self, task: np.ndarray | None, rows: np.ndarray) -> None:
        # Numbers for a task are used up even if it is given: the start state of a seed must not
        # depend on who chose the task.
        size = self.tasks.shape[1]
        draws = ~self._task_given[rows] & (task is None)
        self._random.skip(size, rows[~draws])
        if (free := rows[draws]).size:
            self.tasks[free] = self._tasks_from_uniform(self._random.uniform(size, free))
        if task is None:
            return
        finite = None if self.all_tasks is None else self.env_spec.task
        tasks = given_tasks(task, self.tasks.shape, self.task_names, finite)
        self.tasks[rows] = tasks[rows]
        self._task_given[rows] = True


def _entries(obs: Arrays) -> list[np.ndarray]:
    return list(obs.values()) if isinstance(obs, dict) else [obs]
