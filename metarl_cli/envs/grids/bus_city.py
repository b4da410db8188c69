"""A city whose bus lines are the hidden task: Liu et al. 2021 (DREAM, arXiv:2008.02790).

The layout, the order of the cities and the split are those of the authors' code.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLACK, BLUE, GREEN, GREY, ORANGE, WHITE
from metarl_cli.envs.base.random_rows import one_of
from metarl_cli.envs.grids.dream_grid import END, NUM_ACTIONS, RIDE, cells, places, walk_table
from metarl_cli.envs.grids.gridworld import fill_cell, grid_canvas

SIZE = 9
START = np.array([4, 4])
MAP = np.array([7, 3])
GOALS = np.array([[0, 0], [8, 8], [0, 8], [8, 0]])
# Stops around the start and what their buses go to, in an order that the task says. The first four
# of each lead to the goals' neighbours, the others are decoys.
STOPS = np.array([[4, 5], [5, 4], [3, 4], [4, 3], [5, 5], [3, 3], [3, 5], [5, 3]])
TERMINALS = np.array([[0, 1], [0, 7], [8, 1], [8, 7], [0, 4], [4, 0], [8, 4], [4, 8]])
NUM_LINES = 4  # useful lines; as many decoys


class BusCity(NumpyFamily):
    """Get from the middle of a 9x9 city to the corner that the instruction names.

    Walking takes 8 steps; the right one of four buses goes from next to the start to next to the
    goal. Buses go both ways. A task says where each line goes: for each stop the number of its
    terminal, 0 to 3. The goal is drawn anew in each episode and observed.

    Observations are a Dict of "grid", (x, y, 1 at a bus stop or terminal), and, with a map, the
    number of the city plus 1 when standing on the map, else 0; and "instruction", the goal's
    (x, y). Actions: left, up, right, down, stay, ride, end the episode; the last two of the nine
    (pick, drop) belong to another of DREAM's worlds and do nothing here.

    Args:
        decoys: whether four lines go from next to the start to where no goal is.
        city_map: whether standing on (7, 3) shows the number of the city.
        train_every: cities 0, n, 2n, ... are for training and the others held out; 1: all are both.
        goal_reward: reward of the step that reaches the goal and ends the episode.
        step_reward: reward of any other step, below zero; ending the episode costs as much as
            all the steps that were left.
        horizon: steps per episode.
    """

    info_keys = ("success", "unstable")  # success: the goal is reached

    def __init__(
        self,
        *,
        decoys: bool,
        city_map: bool,
        train_every: int,
        goal_reward: float,
        step_reward: float,
        horizon: int,
    ) -> None:
        orders = np.array(list(permutations(range(NUM_LINES))), np.float64)  # [24, 4]
        useful = np.tile(orders, (len(orders), 1))  # as the authors count: decoys change last
        self.all_tasks = np.hstack([useful, orders.repeat(len(orders), 0)]) if decoys else orders
        if not 1 <= train_every <= len(self.all_tasks):
            raise ValueError(f"train_every: got {train_every}, expected 1 to {len(self.all_tasks)}")
        held_out = np.arange(len(self.all_tasks)) % train_every > 0
        self.test_tasks = self.all_tasks[held_out] if held_out.any() else None
        self._training_tasks = self.all_tasks[~held_out]
        num_stops = self.all_tasks.shape[1]
        seen = [SIZE, SIZE, 2, *([1 + len(self.all_tasks)] if city_map else [])]
        super().__init__(
            observation_space=Dict(
                {"grid": MultiDiscrete(seen), "instruction": MultiDiscrete([SIZE, SIZE])}
            ),
            action_space=Discrete(NUM_ACTIONS),
            task_space=Box(0.0, NUM_LINES - 1.0, (num_stops,), np.float64),
            task_names=tuple(f"terminal_of_stop_{stop}" for stop in range(num_stops)),
            horizon=horizon,
        )
        self.goal_reward, self.step_reward, self.city_map = goal_reward, step_reward, city_map
        self.walk = walk_table(SIZE)
        self.has_bus = np.zeros(SIZE**2, np.int64)
        self.has_bus[cells(np.vstack([STOPS[:num_stops], TERMINALS[:num_stops]]), SIZE)] = 1

    def batch(self, num_envs: int, *, threads: int = 1) -> BusCityBatch:
        """Return passengers in cities."""
        return BusCityBatch(self, num_envs)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return exact mean returns over all cities and goals, of shortest ways and none."""
        assert self.all_tasks is not None
        return {
            "stand_still": (self.horizon * self.step_reward,),
            "walk": (self._shortest(np.arange(SIZE**2)[None]),),
            "oracle": (self._shortest(ride_table(self.all_tasks)),),
        }

    def _shortest(self, ride: np.ndarray) -> float:
        """Return the mean return of shortest ways, where rides `[N, cells]` may be taken."""
        reached = np.zeros(ride.shape, bool)
        reached[:, cells(START, SIZE)] = True
        steps = np.zeros((len(ride), len(GOALS)), np.int64)  # before the one that reaches the goal
        for _ in range(self.horizon):
            steps += ~reached[:, cells(GOALS, SIZE)]
            neighbours = [reached[:, towards] for towards in self.walk]
            by_bus = np.take_along_axis(reached, ride, axis=1)  # what goes there also comes back
            reached = np.logical_or.reduce([*neighbours, by_bus])
        arrived = reached[:, cells(GOALS, SIZE)]
        returns = self.step_reward * (steps - arrived) + self.goal_reward * arrived
        return float(returns.mean())

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map the first column of `[num, D]` to training cities `[num, D]`."""
        return one_of(self._training_tasks, uniform[:, 0])


class BusCityBatch(NumpyBatch[BusCity]):
    """Passengers, each in a city of its own."""

    def __init__(self, family: BusCity, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self._ride = np.zeros((num_envs, SIZE**2), np.int64)  # where a ride from each cell ends
        self._city = np.zeros(num_envs, np.int64)  # number of the city, -1 if not in `all_tasks`
        self._cell = np.zeros(num_envs, np.int64)
        self._goal = np.zeros(num_envs, np.int64)  # the goal's cell

    def initialize(self, rows: np.ndarray) -> None:
        """Draw goals, put passengers in the middle."""
        self._goal[rows] = one_of(cells(GOALS, SIZE), self.random.uniform(1, rows)[:, 0])
        self._cell[rows] = cells(START, SIZE)
        self._ride[rows] = ride_table(self.tasks[rows])
        if self.family.city_map:
            same = (self.tasks[rows, None] == self.family.all_tasks).all(-1)  # [rows, cities]
            self._city[rows] = np.where(same.any(-1), same.argmax(-1), -1)

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Walk or ride; the goal's corner pays."""
        going_on = slice(None) if rows is None else rows
        ridden = self._ride[np.arange(self.num_envs), self._cell]
        cell = np.where(actions == RIDE, ridden, self.family.walk[actions, self._cell])
        self._cell[going_on] = cell[going_on]
        arrived = self._cell == self._goal
        given_up = (actions == END) & ~arrived
        steps_left = self.family.horizon - self.elapsed - 1
        cost = self.family.step_reward * (1 + given_up * steps_left)
        return Outcome(
            reward=np.where(arrived, self.family.goal_reward, cost),
            terminated=arrived | given_up,
            unstable=np.zeros(self.num_envs, bool),
            info={"success": arrived.astype(np.float64)},
        )

    def observe(self) -> dict[str, np.ndarray]:
        """Return what is at the cells, and the instructions."""
        grid = [*np.divmod(self._cell, SIZE), self.family.has_bus[self._cell]]
        if self.family.city_map:
            grid.append(np.where(self._cell == cells(MAP, SIZE), self._city + 1, 0))
        return {"grid": np.stack(grid, -1), "instruction": places(self._goal, SIZE)}

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: agent (blue), goal (green), lines (numbers), map (black)."""
        canvas = grid_canvas(SIZE)
        fill_cell(canvas, places(self._goal[row], SIZE), GREEN)
        if self.family.city_map:
            fill_cell(canvas, MAP, BLACK, 0.6)
        stops = cells(STOPS[: self.tasks.shape[1]], SIZE)
        for line, stop in enumerate(stops):
            for place in places(np.array([stop, self._ride[row, stop]]), SIZE):
                fill_cell(canvas, place, ORANGE if line < NUM_LINES else GREY, 0.8)
                canvas.text(place[0], place[1], str(line), WHITE)
        x, y = places(self._cell[row], SIZE)
        canvas.disc(x, y, 0.3, BLUE)
        return canvas.image()


def ride_table(tasks: np.ndarray) -> np.ndarray:
    """Return where a ride from each cell of each city ends, `[N, lines] -> [N, cells]`.

    Where there is no bus, a ride ends where it began. If two stops name the same terminal (which no
    task of the family does), the bus there goes to the later stop.
    """
    num_lines = tasks.shape[1]
    group = np.arange(num_lines) // NUM_LINES * NUM_LINES
    stops = np.tile(cells(STOPS[:num_lines], SIZE), (len(tasks), 1))
    terminals = cells(TERMINALS, SIZE)[tasks.astype(np.int64) + group]
    table = np.tile(np.arange(SIZE**2), (len(tasks), 1))
    np.put_along_axis(table, stops, terminals, axis=1)
    np.put_along_axis(table, terminals, stops, axis=1)
    return table
