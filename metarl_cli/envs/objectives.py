"""What a robot is asked for: the hidden task, and the reward term that depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.envs.base import require_range


class Objective(Protocol):
    """A family of tasks for any robot that moves."""

    task_space: Box  # [D]
    task_names: tuple[str, ...]  # [D]
    all_tasks: np.ndarray | None  # [num, D] if there are finitely many

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` numbers from U[0, 1) to tasks `[num, D]`."""

    def reward(self, velocity: np.ndarray, tasks: np.ndarray) -> np.ndarray:
        """Return the reward `[B]` of moving at `velocity` (m/s, `[B, axes]`) in `tasks` `[B, D]`.

        The axes are x, or x and y for robots that are not confined to a plane.
        """


class Velocity:
    """Run along x at a target speed: reward -|v - v*| or -(v - v*)^2 (Finn et al. 2017, 5.3).

    Args:
        velocity_range: `[low, high]` of the target speed v*, m/s, drawn uniformly.
        error: "absolute" as in the code of MAML, PEARL and VariBAD, or "squared".
    """

    task_names = ("target_velocity",)
    all_tasks = None

    def __init__(
        self, *, velocity_range: Sequence[float], error: Literal["absolute", "squared"]
    ) -> None:
        if error not in ("absolute", "squared"):
            raise ValueError(f"error: got {error!r}, expected 'absolute' or 'squared'")
        self._low, self._high = require_range("velocity_range", velocity_range)
        self._error = error
        self.task_space = Box(self._low, self._high, (1,), np.float64)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to target speeds `[num, 1]` in m/s."""
        return self._low + (self._high - self._low) * uniform

    def reward(self, velocity: np.ndarray, tasks: np.ndarray) -> np.ndarray:
        """Return minus the distance or squared distance of the x velocity to the target, `[B]`."""
        error = velocity[:, 0] - tasks[:, 0]
        return -np.abs(error) if self._error == "absolute" else -(error**2)


class Direction:
    """Run forward (+1) or backward (-1) along x: reward d * v (Finn et al. 2017, 5.3)."""

    task_names = ("direction",)
    all_tasks = np.array([[-1.0], [1.0]])
    task_space = Box(-1.0, 1.0, (1,), np.float64)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to -1 and +1, equally likely."""
        return np.where(uniform < 0.5, -1.0, 1.0)

    def reward(self, velocity: np.ndarray, tasks: np.ndarray) -> np.ndarray:
        """Return the velocity in the wanted direction, `[B]` in m/s."""
        return velocity[:, 0] * tasks[:, 0]
