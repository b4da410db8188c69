"""What a robot is asked for: the hidden task, and the reward term that depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.envs.checks import require_choice, require_range


@dataclass(frozen=True, slots=True)
class Motion:
    """Where robots are and how they move along x, or x and y for robots not confined to a plane."""

    position: np.ndarray  # [B, axes], m
    velocity: np.ndarray  # [B, axes], m/s


Report = dict[str, np.ndarray]  # what an objective adds to info, float64 [B] each


class Objective(Protocol):
    """A family of tasks for any robot that moves."""

    task_space: Box  # [D]
    task_names: tuple[str, ...]  # [D]
    all_tasks: np.ndarray | None  # [num, D] if there are finitely many
    info_keys: tuple[str, ...]  # the keys of its report

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` numbers from U[0, 1) to tasks `[num, D]`."""

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the reward `[B]` of the motion in `tasks` `[B, D]`, and what goes to info."""


class Velocity:
    """Run along x at a target speed: reward -|v - v*| or -(v - v*)^2 (Finn et al. 2017, 5.3).

    Args:
        velocity_range: `[low, high]` of the target speed v*, m/s, drawn uniformly.
        error: "absolute" as in the code of MAML, PEARL and VariBAD, or "squared".
    """

    task_names = ("target_velocity",)
    all_tasks = None
    info_keys = ()

    def __init__(
        self, *, velocity_range: Sequence[float], error: Literal["absolute", "squared"]
    ) -> None:
        require_choice("error", error, ("absolute", "squared"))
        self._low, self._high = require_range("velocity_range", velocity_range)
        self._error = error
        self.task_space = Box(self._low, self._high, (1,), np.float64)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to target speeds `[num, 1]` in m/s."""
        return self._low + (self._high - self._low) * uniform

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return minus the distance or squared distance of the x velocity to the target, `[B]`."""
        error = motion.velocity[:, 0] - tasks[:, 0]
        return (-np.abs(error) if self._error == "absolute" else -(error**2)), {}


class Direction:
    """Run forward (+1) or backward (-1) along x: reward d * v (Finn et al. 2017, 5.3)."""

    task_names = ("direction",)
    all_tasks = np.array([[-1.0], [1.0]])
    task_space = Box(-1.0, 1.0, (1,), np.float64)
    info_keys = ()

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to -1 and +1, equally likely."""
        return np.where(uniform < 0.5, -1.0, 1.0)

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the velocity in the wanted direction, `[B]` in m/s."""
        return motion.velocity[:, 0] * tasks[:, 0], {}
