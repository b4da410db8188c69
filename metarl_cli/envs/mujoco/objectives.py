"""What a robot is asked for: the hidden task, and the reward term that depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_choice, require_positive, require_range


@dataclass(frozen=True, slots=True)
class Motion:
    """Where robots are and how they move along x, or x and y for robots not confined to a plane."""

    position: np.ndarray  # [B, axes], m
    velocity: np.ndarray  # [B, axes], m/s


Report = dict[str, np.ndarray]  # what an objective adds to info, float64 [B] each


_CELLS = 400  # per dimension, of means over tasks


class Objective(Protocol):
    """A family of tasks for any robot that moves."""

    task_space: Box  # [D]
    task_names: tuple[str, ...]  # [D]
    all_tasks: np.ndarray | None  # [num, D] if there are finitely many
    info_keys: tuple[str, ...]  # the keys of its report
    goal_radius: float | None  # of the goals in pictures, m, if tasks are places (x, y)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` numbers from U[0, 1) to tasks `[num, D]`."""

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the reward `[B]` of the motion in `tasks` `[B, D]`, and what goes to info."""

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return what an arrow in pictures shows of a task `[D]`: a velocity `[2]`, m/s, or None.

        Where any speed will do, it is 1 m/s.
        """


class Velocity:
    """Run along x at a target speed: reward -|v - v*| or -(v - v*)^2 (Finn et al. 2017, 5.3).

    Args:
        velocity_range: `[low, high]` of the target speed v*, m/s, drawn uniformly.
        error: "absolute" as in the code of MAML, PEARL and VariBAD, or "squared".
    """

    task_names = ("target_velocity",)
    all_tasks = None
    info_keys = ()
    goal_radius = None

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

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return the target speed along x, `[2]` in m/s."""
        return np.array([task[0], 0.0])


class Direction:
    """Run forward (+1) or backward (-1) along x: reward d * v (Finn et al. 2017, 5.3)."""

    task_names = ("direction",)
    all_tasks = np.array([[-1.0], [1.0]])
    task_space = Box(-1.0, 1.0, (1,), np.float64)
    info_keys = ()
    goal_radius = None

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to -1 and +1, equally likely."""
        return np.where(uniform < 0.5, -1.0, 1.0)

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the velocity in the wanted direction, `[B]` in m/s."""
        return motion.velocity[:, 0] * tasks[:, 0], {}

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return the direction as 1 m/s along x, `[2]`."""
        return np.array([task[0], 0.0])


class Forward:
    """Run forward, always: for robots whose task lies elsewhere, as in their dynamics (D = 0)."""

    task_names = ()
    all_tasks = None
    task_space = Box(-1.0, 1.0, (0,), np.float64)
    info_keys = ()
    goal_radius = None

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Return `uniform` `[num, 0]`: there is nothing to choose."""
        return uniform

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the velocity along x, `[B]` in m/s."""
        return motion.velocity[:, 0].copy(), {}

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return None: it tells no task from another."""
        return None


class Heading:
    """Run in any direction of the plane: reward weight * (v . heading) (Rakelly et al. 2019).

    The task is the unit vector of the heading, drawn uniformly from the circle.

    Args:
        weight: of the velocity.
    """

    task_names = ("heading_x", "heading_y")
    all_tasks = None
    task_space = Box(-1.0, 1.0, (2,), np.float64)
    info_keys = ()
    goal_radius = None

    def __init__(self, *, weight: float) -> None:
        require_positive(weight=weight)
        self._weight = weight

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map the first column of `[num, 2]` to unit vectors `[num, 2]`."""
        return _on_circle(2.0 * np.pi * uniform[:, 0])

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the weighted velocity along the heading, `[B]`."""
        along = motion.velocity * tasks
        return self._weight * (along[:, 0] + along[:, 1]), {}

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return the heading as 1 m/s, `[2]`."""
        return task


class DiscGoal:
    """Get to a place in a disc around the start: reward -(|dx| + |dy|) (Rothfuss et al. 2019).

    PEARL and VariBAD have the same.

    Args:
        radius: of the disc, m; goals are drawn uniformly from its area.
    """

    task_names = ("goal_x", "goal_y")
    all_tasks = None
    info_keys = ()
    goal_radius = 0.2  # there is no region: a mark of some size

    def __init__(self, *, radius: float) -> None:
        require_positive(radius=radius)
        self._radius = radius
        self.task_space = Box(-radius, radius, (2,), np.float64)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 2]` to goals `[num, 2]` in m."""
        radius = self._radius * np.sqrt(uniform[:, :1])
        return radius * _on_circle(2.0 * np.pi * uniform[:, 1])

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return minus the distance to the goal along the axes, `[B]` in m."""
        return -_manhattan(motion.position - tasks), {}

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return None: the task is a place."""
        return None


class SemicircleGoal:
    """Get to a place on the semicircle y >= 0 around the start (Gupta et al. 2018, MAESN).

    The dense reward is minus the distance to the goal. The sparse one is how much nearer the goal
    is than it was from the origin, but 0 outside the goal region: MAESN's own is lower by the
    distance from the origin to the goal, so that it gives the goal away before it is found.

    Args:
        radius: of the semicircle, m; the angle of the goal is drawn uniformly from [0, pi].
        reach: radius of the goal region, m; success is to be in it.
        distance: "euclidean" (MAESN's wheeled robot) or "manhattan" (its ant), in both rewards.
        dense: whether the dense reward is given; the other one goes to info.
    """

    task_names = ("goal_x", "goal_y")
    all_tasks = None

    def __init__(
        self,
        *,
        radius: float,
        reach: float,
        distance: Literal["euclidean", "manhattan"],
        dense: bool,
    ) -> None:
        require_positive(radius=radius, reach=reach)
        require_choice("distance", distance, ("euclidean", "manhattan"))
        self._radius, self._reach, self._dense = radius, reach, dense
        self.goal_radius = reach
        self._distance = _euclidean if distance == "euclidean" else _manhattan
        self.info_keys = ("reward_sparse" if dense else "reward_dense", "success")
        self.task_space = Box(
            np.array([-radius, 0.0]), np.array([radius, radius]), dtype=np.float64
        )

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map the first column of `[num, 2]` to goals `[num, 2]` in m."""
        return self._radius * _on_circle(np.pi * uniform[:, 0])

    def reward(self, motion: Motion, tasks: np.ndarray) -> tuple[np.ndarray, Report]:
        """Return the dense or the sparse reward, `[B]`, the other one and success."""
        offset = motion.position - tasks
        reached = _euclidean(offset) <= self._reach
        dense = -self._distance(offset)
        sparse = np.where(reached, dense + self._distance(tasks), 0.0)
        success = reached.astype(np.float64)
        if self._dense:
            return dense, {"reward_sparse": sparse, "success": success}
        return sparse, {"reward_dense": dense, "success": success}

    def wanted_velocity(self, task: np.ndarray) -> np.ndarray | None:
        """Return None: the task is a place."""
        return None


def mean_reward_at_rest(objective: Objective, axes: int) -> float:
    """Return the mean reward per step, over all tasks, of a robot at rest at the origin.

    Over families without end it is the midpoint rule, which is exact where the reward is piecewise
    linear between its points; elsewhere it is off by less than 1e-4 of the reward.
    """
    tasks = objective.all_tasks
    if tasks is None:
        tasks = objective.tasks_from_uniform(_midpoints(objective.task_space.shape[0]))
    still = np.zeros((len(tasks), axes))
    return float(objective.reward(Motion(still, still), tasks)[0].mean())


def _midpoints(size: int) -> np.ndarray:
    """Return the centres of equal cells of the unit cube, `[num, size]`."""
    cells = np.indices((_CELLS,) * size).reshape(size, _CELLS**size)
    return (cells.T + 0.5) / _CELLS


def _on_circle(angle: np.ndarray) -> np.ndarray:
    """Return the points `[num, 2]` of the unit circle at angles `[num]` (rad)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _euclidean(offset: np.ndarray) -> np.ndarray:
    return np.hypot(offset[:, 0], offset[:, 1])


def _manhattan(offset: np.ndarray) -> np.ndarray:
    return np.abs(offset[:, 0]) + np.abs(offset[:, 1])
