"""What a perfect statistician knows of the goal in `point.PointSemicircle`, sparse rewards."""

from __future__ import annotations

import numpy as np

from metarl_cli.envs.base.hidden_goal import HiddenGoal, Moves

_CELLS = 90  # of two degrees each
_ROUNDING = 1e-5  # more than float32 takes off recorded positions and rewards
_SPEED = 0.5  # at which a goal is crossed, of the largest
_SIDEWAYS = (np.pi / 2, -np.pi / 2)  # from the direction of the goal


class SemicircleGoals(HiddenGoal):
    """The middles of equal cells of a semicircle above the origin.

    No place in a cell is farther from its middle than half the cell's arc, so no distance from
    anywhere differs by more. By so much a cell may disagree with what was seen: the one with the
    goal is never ruled out.

    Args:
        circle_radius: distance of all goals from the origin.
        goal_radius: size of the region around the goal that pays.
        max_step: length of the move by an action of length 1.
        num: cells G.
    """

    cells = False

    def __init__(
        self, circle_radius: float, goal_radius: float, max_step: float, num: int = _CELLS
    ) -> None:
        angles = np.pi * (np.arange(num) + 0.5) / num
        self.goals = circle_radius * on_circle(angles)
        self.pays = sparse_reward(self._distance(self.goals), goal_radius)
        self.moves = self._crossings(angles, max_step)
        self._circle_radius, self._goal_radius = circle_radius, goal_radius
        self._slack = circle_radius * np.pi / num / 2 + _ROUNDING

    def place(self, tasks: np.ndarray) -> np.ndarray:
        """Tasks are angles."""
        return self._circle_radius * on_circle(tasks[..., 0])

    def agrees(self, positions: np.ndarray, reward: np.ndarray, found: np.ndarray) -> np.ndarray:
        """A paid step tells the distance of the goal; any other one that it is not near."""
        distance = self._distance(positions)  # [T, ..., G]
        as_paid = np.abs(distance - (1.0 - reward[..., None])) <= self._slack
        not_near = distance > self._goal_radius - self._slack
        return np.where(found[..., None], as_paid, not_near)

    def _distance(self, positions: np.ndarray) -> np.ndarray:
        return np.linalg.norm(positions[..., None, :] - self.goals, axis=-1)

    def _crossings(self, angles: np.ndarray, max_step: float) -> Moves:
        """Return moves along the circle, from either side, as of an agent that searches."""
        action = _SPEED * np.concatenate([on_circle(angles + turn) for turn in _SIDEWAYS])
        goal = np.tile(np.arange(len(angles)), len(_SIDEWAYS))
        return Moves(self.goals[goal] - max_step * action, action, goal)


def on_circle(angles: np.ndarray) -> np.ndarray:
    """Return the places `[..., 2]` on the unit circle at angles `[...]`, in radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def sparse_reward(distance: np.ndarray, goal_radius: float) -> np.ndarray:
    """Return what a step pays that ends at some distance from the goal, `[...]`."""
    return np.where(distance <= goal_radius, 1.0 - distance, 0.0)
