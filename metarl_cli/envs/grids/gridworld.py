"""An empty grid with a goal that cannot be seen.

The article's discrete Nav2D, and GridNavi of Zintgraf et al. 2020 (VariBAD, arXiv:1910.08348),
section 5.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from gymnasium.spaces import Box, Discrete

from metarl_cli.core.checks import require_choice, require_positive
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLUE, GREEN, LIGHT, Canvas, Colour
from metarl_cli.envs.base.hidden_goal import Moves
from metarl_cli.envs.base.random_rows import one_of
from metarl_cli.envs.grids.gridworld_bayes import CellGoals, earliest_finds, perfect_plan, steps_to

GoalSet = Literal["sides_and_top", "away_from_start"]

# stay, up, right, down, left
_MOVES = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])


class GridNavigation(NumpyFamily):
    """Observe the own cell (x, y), move by one cell or stay; standing on the goal pays each step.

    The five actions are stay, up, right, down, left; a move out of the grid stays. The episode goes
    on at the goal.

    Args:
        size: cells along each side of the grid.
        start: `[x, y]`, the cell where each episode begins; (0, 0) is at the bottom left.
        goals: the cells that may be the goal, all equally likely. "sides_and_top": the left column,
            the right column and the top row. "away_from_start": all but the start and the up to
            eight cells around it.
        goal_reward: reward of a step that ends on the goal.
        step_reward: reward of any other step, less than `goal_reward`.
        horizon: steps per episode.
    """

    info_keys = ("success", "unstable")  # success: on the goal now

    def __init__(
        self,
        *,
        size: int,
        start: Sequence[int],
        goals: GoalSet,
        goal_reward: float,
        step_reward: float,
        horizon: int,
    ) -> None:
        require_positive(size=size, horizon=horizon)
        if len(start) != 2 or not 0 <= min(start) <= max(start) < size:
            raise ValueError(f"start: got {list(start)}, expected [x, y] from 0 to {size - 1}")
        if not goal_reward > step_reward:
            raise ValueError(f"goal_reward: got {goal_reward}, expected more than {step_reward}")
        super().__init__(
            observation_space=Box(0.0, size - 1.0, (2,), np.float32),
            action_space=Discrete(len(_MOVES)),
            task_space=Box(0.0, size - 1.0, (2,), np.float64),
            task_names=("goal_x", "goal_y"),
            horizon=horizon,
        )
        self.size, self.start = size, np.array(start)
        self.goal_reward, self.step_reward = goal_reward, step_reward
        self.goals = _goal_cells(goals, size, self.start)  # [G, 2], rows of all_tasks
        self.all_tasks = self.goals.astype(np.float64)

    def batch(self, num_envs: int, *, threads: int = 1) -> GridBatch:
        """Return agents in grids."""
        return GridBatch(self, num_envs)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return exact mean returns over all goals.

        "bayes_optimal" is known (see `perfect_plan`) where a plan attains the upper bound of every
        episode at once, as in both published settings, and left out elsewhere.
        """
        steps = steps_to(self.goals, self.start)
        oracle = self._mean_return(steps)
        never = np.full(len(steps), self.horizon + 1)
        here = (self.goals == self.start).all(-1)
        anchors: dict[str, tuple[float, ...]] = {
            "stand_still": (self._mean_return(np.where(here, 1, never)),),
            "random": (self._random_return(),),
            "oracle": (oracle,),
        }
        if perfect_plan(self.goals, self.start, self.horizon) is not None:
            anchors["bayes_optimal"] = (self._mean_return(earliest_finds(steps)), oracle)
        return anchors

    def hidden_goal(self) -> CellGoals:
        """Return what can be known of the goal."""
        return CellGoals(self.goals, self._moves_to_goals())

    def _moves_to_goals(self) -> Moves:
        """Return all moves to a possible goal from a cell beside it."""
        before = self.goals[:, None] - _MOVES[1:]  # [G, 4, 2]
        inside = (before == self.inside(before)).all(-1)
        goal, move = np.nonzero(inside)
        return Moves(before[inside], move + 1, goal)

    def _mean_return(self, finds: np.ndarray) -> float:
        """Return what it pays to reach the goals after `finds` steps `[G]` and to stay there."""
        paid = np.maximum(self.horizon - finds + 1, 0)  # steps on the goal
        per_step = self.goal_reward - self.step_reward
        return float(self.step_reward * self.horizon + per_step * paid.mean())

    def _random_return(self) -> float:
        presence = np.zeros((self.size, self.size))  # chance to be in cell [x, y]
        presence[tuple(self.start)] = 1.0
        cells = np.argwhere(presence >= 0)
        on_goals = 0.0
        for _ in range(self.horizon):
            chance = presence[tuple(cells.T)] / len(_MOVES)
            presence = np.zeros_like(presence)
            for move in _MOVES:
                np.add.at(presence, tuple(self.inside(cells + move).T), chance)
            on_goals += presence[tuple(self.goals.T)].mean()
        per_step = self.goal_reward - self.step_reward
        return float(self.step_reward * self.horizon + per_step * on_goals)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map the first column of `[num, 2]` to goals `[num, 2]`."""
        return one_of(self.goals, uniform[:, 0]).astype(np.float64)

    def inside(self, cells: np.ndarray) -> np.ndarray:
        """Return cells `[..., 2]` moved into the grid."""
        return np.minimum(np.maximum(cells, 0), self.size - 1)


class GridBatch(NumpyBatch[GridNavigation]):
    """Agents in grids, each in its own cell."""

    def __init__(self, family: GridNavigation, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self.position = np.zeros((num_envs, 2), np.int64)

    def initialize(self, rows: np.ndarray) -> None:
        """Put agents in the start cell."""
        self.position[rows] = self.family.start

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Move by one cell; pay on the goal."""
        selected = slice(None) if rows is None else rows
        self.position[selected] = self.family.inside(
            self.position[selected] + _MOVES[actions[selected]]
        )
        on_goal = (self.position[:, 0] == self.tasks[:, 0]) & (
            self.position[:, 1] == self.tasks[:, 1]
        )
        return Outcome(
            reward=np.where(on_goal, self.family.goal_reward, self.family.step_reward),
            terminated=np.zeros(self.num_envs, bool),
            unstable=np.zeros(self.num_envs, bool),
            info={"success": on_goal.astype(np.float64)},
        )

    def observe(self) -> np.ndarray:
        """Return the cells, `[B, 2]`."""
        return self.position.astype(np.float32)

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: agent (blue), goal (green), where goals can be (grey)."""
        canvas = grid_canvas(self.family.size)
        for goal in self.family.goals:
            fill_cell(canvas, goal, LIGHT)
        fill_cell(canvas, self.tasks[row], GREEN)
        x, y = self.position[row]
        canvas.disc(x, y, 0.3, BLUE)
        return canvas.image()


def grid_canvas(size: int) -> Canvas:
    """Return an empty picture of `size` x `size` cells, each centred on its integers (x, y)."""
    low, high = -0.5, size - 0.5
    canvas = Canvas((low, high), (low, high))
    for edge in np.arange(low, size):
        canvas.line(np.array([[edge, low], [edge, high]]), LIGHT, width=1)
        canvas.line(np.array([[low, edge], [high, edge]]), LIGHT, width=1)
    return canvas


def fill_cell(canvas: Canvas, place: np.ndarray, colour: Colour, size: float = 0.9) -> None:
    """Fill the middle of the cell (x, y), `size` of its side."""
    x, y = place
    canvas.rectangle((x - size / 2, y - size / 2), (x + size / 2, y + size / 2), colour)


def _goal_cells(goals: GoalSet, size: int, start: np.ndarray) -> np.ndarray:
    require_choice("goals", goals, ("sides_and_top", "away_from_start"))
    cells = np.argwhere(np.ones((size, size), bool))  # [size^2, 2]
    x, y = cells.T
    if goals == "sides_and_top":
        return cells[(x == 0) | (x == size - 1) | (y == size - 1)]
    far = cells[np.abs(cells - start).max(-1) > 1]
    if not len(far):
        raise ValueError(f"goals: got {goals!r}, but a grid of size {size} has no such cells")
    return far
