"""A point in the plane looks for a goal it cannot see.

`PointNav` is Finn et al. 2017 (arXiv:1703.03400), section 5.2, as their code has it: the reward is
minus the distance (their text says squared, but their tables fit the distance). `PointSemicircle`
is the sparse point robot of the code of Rakelly et al. 2019 (PEARL, arXiv:1903.08254) and Zintgraf
et al. 2020 (VariBAD, arXiv:1910.08348): there is no reward but near the goal.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_positive, require_range
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLUE, GREEN, GREY, LIGHT, Canvas
from metarl_cli.envs.points.semicircle_bayes import SemicircleGoals, on_circle, sparse_reward

_TRAIL = (130, 160, 220)  # a pale blue
_GRID = 256  # goals per axis over which PointNav's anchors are averaged
_ANGLES = 20_000  # goals over which PointSemicircle's are


class MovingPoint(NumpyFamily):
    """A point that starts at the origin, moves by `max_step` times the action and observes (x, y).

    Actions lie in [-1, 1] per axis. Subclasses say where the goals are and what they pay.
    """

    def __init__(
        self,
        *,
        task_space: Box,
        task_names: tuple[str, ...],
        max_step: float,
        horizon: int,
    ) -> None:
        require_positive(max_step=max_step, horizon=horizon)
        farthest = 1.001 * max_step * horizon  # with room for rounding
        super().__init__(
            observation_space=Box(-farthest, farthest, (2,), np.float32),
            action_space=Box(-1.0, 1.0, (2,), np.float32),
            task_space=task_space,
            task_names=task_names,
            horizon=horizon,
        )
        self.max_step = max_step

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return the mean returns of never moving and of walking straight to the known goal."""
        return {"stand_still": (self._mean_return(0.0),), "oracle": (self._mean_return(1.0),)}

    @abstractmethod
    def _mean_return(self, effort: float) -> float:
        """Mean over many goals of the return of a straight walk, at `effort` times full speed."""

    def _straight_walk(self, goals: np.ndarray, effort: float) -> Iterator[np.ndarray]:
        """Yield the distances per axis to goals `[G, 2]` after 1, 2, ... steps straight to them.

        The axes do not compete, so at full speed no policy is ever nearer to its goal.
        """
        offset = np.abs(goals)
        for _ in range(self.horizon):
            offset = np.maximum(offset - effort * self.max_step, 0.0)
            yield offset


Point = TypeVar("Point", bound=MovingPoint)


class MovingPointBatch(NumpyBatch[Point]):
    """Points on their way."""

    def __init__(self, family: Point, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self.position = np.zeros((num_envs, 2))
        self._trails: dict[int, list[np.ndarray]] = {}  # where rows were when they were drawn

    def initialize(self, rows: np.ndarray) -> None:
        """Put points at the origin."""
        self.position[rows] = 0.0
        for row in self._trails.keys() & set(rows.tolist() if self._trails else ()):
            del self._trails[row]

    def move(self, actions: np.ndarray, rows: np.ndarray | None) -> None:
        """Carry out actions `[B, 2]`."""
        if rows is None:
            self.position += self.family.max_step * actions
        else:
            self.position[rows] += self.family.max_step * actions[rows]

    def observe(self) -> np.ndarray:
        """Return the places, `[B, 2]`."""
        return self.position.astype(np.float32)

    def draw_point(self, canvas: Canvas, row: int, radius: float) -> None:
        """Draw a point (blue) and its way from the origin through the places it was drawn at."""
        trail = self._trails.setdefault(row, [np.zeros(2)])
        trail.append(self.position[row].copy())
        canvas.line(np.array(trail), _TRAIL, width=1.5)
        x, y = self.position[row]
        canvas.disc(x, y, radius, BLUE)


class PointNav(MovingPoint):
    """MAML's 2D navigation: reward minus the distance, goals in a square around the start.

    Args:
        goal_range: `[low, high]` of both goal coordinates, drawn uniformly.
        max_step: largest move along each axis in one step.
        reach_tolerance: the episode ends when both coordinates are closer to the goal than this.
        horizon: steps per episode.
    """

    info_keys = ("success", "unstable")

    def __init__(
        self,
        *,
        goal_range: Sequence[float],
        max_step: float,
        reach_tolerance: float,
        horizon: int,
    ) -> None:
        self.low, self.high = require_range("goal_range", goal_range)
        require_positive(reach_tolerance=reach_tolerance)
        super().__init__(
            task_space=Box(self.low, self.high, (2,), np.float64),
            task_names=("goal_x", "goal_y"),
            max_step=max_step,
            horizon=horizon,
        )
        self.reach_tolerance = reach_tolerance

    def batch(self, num_envs: int, *, threads: int = 1) -> PointNavBatch:
        """Return points that look for goals in the square."""
        return PointNavBatch(self, num_envs)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 2]` to goals `[num, 2]`."""
        return self.low + (self.high - self.low) * uniform

    def _mean_return(self, effort: float) -> float:
        axis = _midpoints(self.low, self.high, _GRID)
        goals = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        total, active = np.zeros(len(goals)), np.ones(len(goals), bool)
        for offset in self._straight_walk(goals, effort):
            total -= active * np.hypot(*offset.T)
            active &= (offset >= self.reach_tolerance).any(axis=1)
            if not active.any():
                break
        return float(total.mean())


class PointNavBatch(MovingPointBatch[PointNav]):
    """Points that look for goals in a square."""

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Move; pay minus the distance."""
        self.move(actions, rows)
        offset, tolerance = self.position - self.tasks, self.family.reach_tolerance
        x, y = offset[:, 0], offset[:, 1]
        reached = (np.abs(x) < tolerance) & (np.abs(y) < tolerance)
        return Outcome(
            reward=-np.sqrt(x**2 + y**2),
            terminated=reached,
            unstable=np.zeros(self.num_envs, bool),
            info={"success": reached.astype(np.float64)},
        )

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: the point and its way (blue), its goal (green)."""
        half = 1.3 * max(abs(self.family.low), abs(self.family.high))
        canvas = Canvas((-half, half), (-half, half))
        x, y = self.tasks[row]
        canvas.disc(x, y, 0.05 * half, GREEN)
        self.draw_point(canvas, row, 0.05 * half)
        return canvas.image()


class PointSemicircle(MovingPoint):
    """The sparse point robot: goals on a semicircle above the start, reward only near the goal.

    Within `goal_radius` of the goal each step pays 1 minus the distance, elsewhere nothing; the
    episode goes on at the goal. The other kind of reward, sparse or dense, is in info.

    The task is the goal's angle and not its (x, y): every number in the task space is then a legal
    task, so is the mean of any belief about it, and squared errors of an estimate are squared
    lengths along the semicircle.

    Args:
        circle_radius: distance of all goals from the start.
        goal_radius: size of the region around the goal that pays; at most 1, or it would punish.
        max_step: largest move along each axis in one step.
        dense: reward minus the distance, everywhere, in place of the sparse reward.
        horizon: steps per episode.
    """

    def __init__(
        self,
        *,
        circle_radius: float,
        goal_radius: float,
        max_step: float,
        dense: bool,
        horizon: int,
    ) -> None:
        require_positive(circle_radius=circle_radius, goal_radius=goal_radius)
        if goal_radius > 1:
            raise ValueError(f"goal_radius: got {goal_radius}, expected a number <= 1")
        super().__init__(
            task_space=Box(0.0, np.pi, (1,), np.float64),
            task_names=("goal_angle",),  # radians, from the x-axis
            max_step=max_step,
            horizon=horizon,
        )
        self.circle_radius, self.goal_radius = circle_radius, goal_radius
        self._dense = dense
        self.info_keys = ("success", "reward_sparse" if dense else "reward_dense", "unstable")

    def batch(self, num_envs: int, *, threads: int = 1) -> PointSemicircleBatch:
        """Return points that look for goals on the semicircle."""
        return PointSemicircleBatch(self, num_envs)

    def hidden_goal(self) -> SemicircleGoals | None:
        """Return what can be known of the goal; None with dense rewards, which tell it at once."""
        if self._dense:
            return None
        return SemicircleGoals(self.circle_radius, self.goal_radius, self.max_step)

    def _mean_return(self, effort: float) -> float:
        goals = self.goals_at(_midpoints(0.0, np.pi, _ANGLES))
        walk = self._straight_walk(goals, effort)
        return float(sum(self.rewards(np.hypot(*offset.T))[0].mean() for offset in walk))

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to angles `[num, 1]`, radians."""
        return np.pi * uniform

    def goals_at(self, angles: np.ndarray) -> np.ndarray:
        """Return the goals `[..., 2]` at angles `[...]`."""
        return self.circle_radius * on_circle(angles)

    def rewards(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the reward at distances `[...]` from the goal, and that of the other kind."""
        dense, sparse = -distance, sparse_reward(distance, self.goal_radius)
        return (dense, sparse) if self._dense else (sparse, dense)


class PointSemicircleBatch(MovingPointBatch[PointSemicircle]):
    """Points that look for goals on a semicircle."""

    def __init__(self, family: PointSemicircle, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self._goals = np.zeros((num_envs, 2))

    def initialize(self, rows: np.ndarray) -> None:
        """Put points at the origin and goals where the tasks say."""
        super().initialize(rows)
        self._goals[rows] = self.family.goals_at(self.tasks[rows, 0])

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Move; pay near the goal."""
        self.move(actions, rows)
        offset = self.position - self._goals
        distance = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2)
        reward, other = self.family.rewards(distance)
        near = (distance <= self.family.goal_radius).astype(np.float64)
        return Outcome(
            reward=reward,
            terminated=np.zeros(self.num_envs, bool),
            unstable=np.zeros(self.num_envs, bool),
            info={"success": near, self.family.info_keys[1]: other},
        )

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: all goals (grey), the one that pays (green), the point."""
        family, (x, y) = self.family, self._goals[row]
        side = 1.1 * family.circle_radius + family.goal_radius
        canvas = Canvas((-side, side), (-0.5 * family.circle_radius, side))
        canvas.disc(x, y, family.goal_radius, LIGHT)
        canvas.line(family.goals_at(np.linspace(0.0, np.pi, 100)), GREY, width=1)
        canvas.ring(x, y, family.goal_radius, GREEN)
        canvas.disc(x, y, 0.04 * side, GREEN)
        self.draw_point(canvas, row, 0.04 * side)
        return canvas.image()


def _midpoints(low: float, high: float, num: int) -> np.ndarray:
    """Return the middles of `num` equal parts of an interval."""
    return low + (high - low) * (np.arange(num) + 0.5) / num
