"""A point in the plane looks for a goal it cannot see.

Finn et al. 2017 (arXiv:1703.03400), section 5.2, as their code has it: the reward is minus the
distance (their text says squared, but their tables fit the distance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.envs.base import Outcome, TaskVectorEnv
from metarl_cli.envs.checks import require_positive, require_range
from metarl_cli.envs.drawing import BLUE, GREEN, Canvas


class PointNav(TaskVectorEnv):
    """MAML's 2D navigation: observe (x, y), move by `max_step` times the action, from the origin.

    Actions lie in [-1, 1] per axis, as the authors' environment wrapper has it.

    Args:
        goal_range: `[low, high]` of both goal coordinates, drawn uniformly.
        max_step: largest move along each axis in one step.
        reach_tolerance: the episode ends when both coordinates are closer to the goal than this.
        horizon: steps per episode.
        num_envs: number of environments B.
        num_threads: accepted by every environment; there is nothing to run in parallel here.
        render_mode: None or "rgb_array".
    """

    info_keys = ("success", "unstable")

    def __init__(
        self,
        *,
        goal_range: Sequence[float],
        max_step: float,
        reach_tolerance: float,
        horizon: int,
        num_envs: int,
        num_threads: int = 0,
        render_mode: str | None = None,
    ) -> None:
        self._low, self._high = require_range("goal_range", goal_range)
        require_positive(max_step=max_step, reach_tolerance=reach_tolerance, horizon=horizon)
        farthest = 1.001 * max_step * horizon  # with room for rounding
        super().__init__(
            observation_space=Box(-farthest, farthest, (2,), np.float32),
            action_space=Box(-1.0, 1.0, (2,), np.float32),
            task_space=Box(self._low, self._high, (2,), np.float64),
            task_names=("goal_x", "goal_y"),
            horizon=horizon,
            num_envs=num_envs,
            render_mode=render_mode,
        )
        self._max_step, self._reach_tolerance = max_step, reach_tolerance
        self._position = np.zeros((num_envs, 2))

    def _tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        return self._low + (self._high - self._low) * uniform

    def _initialize(self, rows: np.ndarray) -> None:
        self._position[rows] = 0.0

    def _simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        if rows is None:
            self._position += self._max_step * actions
        else:
            self._position[rows] += self._max_step * actions[rows]
        offset = self._position - self.tasks
        x, y = offset[:, 0], offset[:, 1]
        reached = (np.abs(x) < self._reach_tolerance) & (np.abs(y) < self._reach_tolerance)
        return Outcome(
            reward=-np.sqrt(x**2 + y**2),
            terminated=reached,
            unstable=np.zeros(self.num_envs, bool),
            info={"success": reached.astype(np.float64)},
        )

    def _observe(self) -> np.ndarray:
        return self._position.astype(np.float32)

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: the point (blue) and its goal (green)."""
        half = 1.3 * max(abs(self._low), abs(self._high))
        canvas = Canvas((-half, half), (-half, half))
        for (x, y), colour in ((self.tasks[row], GREEN), (self._position[row], BLUE)):
            canvas.disc(x, y, 0.05 * half, colour)
        return canvas.image()
