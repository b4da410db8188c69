"""Ask the grey box, then go to the blue or to the red one.

Maze2D and Maze3D of IMPORT (Kamienny et al. 2020, arXiv:2005.02934) after the descriptions in the
literature: a hidden bit says which of two boxes is right, a grey box tells it to an agent nearby,
touching the right box pays +1 and the wrong one -1, and either ends the episode. Neither their code
nor their measures are public. Actions and observations follow the two-goal maze of MTEnv, by the
same group; the map is ours, chosen for the published 19 steps of the optimal policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from gymnasium.spaces import Box, Discrete

from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.random_rows import one_of
from metarl_cli.envs.maze.map import BLOCKED, FORWARD, NUM_ACTIONS, NUM_HEADINGS, MazeMap
from metarl_cli.envs.maze.picture import side_by_side, top_view
from metarl_cli.envs.maze.planner import best_return, optimal_steps


@dataclass(slots=True)
class MazeState:
    """Where everything is, `[B]` each."""

    pose: np.ndarray  # of the agent, as `MazeMap` numbers them
    blue: np.ndarray  # cell of the blue box
    red: np.ndarray  # cell of the red box
    cue: np.ndarray  # what the grey box says: -1 blue, +1 red, 0 nothing


class Eyes(Protocol):
    """What looks at a batch of mazes."""

    def observe(self, state: MazeState) -> np.ndarray:
        """Return new observations `[B, ...]`."""


class MazeView(Protocol):
    """What an agent sees of a maze."""

    @property
    def space(self) -> Box:
        """The space of one look."""

    def eyes(self, maze: MazeMap, threads: int) -> Eyes:
        """Return what looks at copies of a maze, with so many threads (0: all CPUs)."""

    def picture(self, obs: np.ndarray) -> np.ndarray | None:
        """Return one observation as an image, uint8 `[height, width, 3]`, if it is one."""


class VectorView:
    """Numbers, `[B, 9]`, places in [-1, 1] from border to border of the longer side.

    Place of the agent (2), its heading as cosine and sine (from east, counter-clockwise), places of
    the blue (2) and of the red box (2), and the cue: -1 blue, +1 red, 0 too far from the grey box.
    """

    space = Box(-1.0, 1.0, (9,), np.float32)

    def eyes(self, maze: MazeMap, threads: int) -> Eyes:
        """See `MazeView`."""
        return _VectorEyes(maze)

    def picture(self, obs: np.ndarray) -> np.ndarray | None:
        """See `MazeView`."""
        return None


class _VectorEyes:
    """Looks up what does not change."""

    def __init__(self, maze: MazeMap) -> None:
        width, height = maze.size
        middle = (np.array([width, height]) - 1) / 2
        self._places = ((maze.centers - middle) * 2 / max(width, height)).astype(np.float32)
        angle = 2 * np.pi / NUM_HEADINGS * np.arange(NUM_HEADINGS)
        directions = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
        self._poses = np.concatenate(
            [
                np.repeat(self._places, NUM_HEADINGS, axis=0),
                np.tile(directions, (len(self._places), 1)),
            ],
            axis=1,
        )  # [S, 4]

    def observe(self, state: MazeState) -> np.ndarray:
        """See `Eyes`."""
        obs = np.empty((len(state.pose), 9), np.float32)
        obs[:, :4] = self._poses[state.pose]
        obs[:, 4:6] = self._places[state.blue]
        obs[:, 6:8] = self._places[state.red]
        obs[:, 8] = state.cue
        return obs


class Maze(NumpyFamily):
    """Turn left or right by 45 degrees or step forward, until a coloured box is touched.

    Episodes start in a random start cell with a random heading, and the boxes stand in two random
    places; all this is drawn anew each time, only the bit belongs to the task. A box is touched by
    a step that would lead into it. Cells and headings make a finite set of poses, so that the
    optimal policy is computed, not estimated (`planner`).

    Args:
        maze: the letters of `MazeMap`.
        cue_range: distance from which the grey box tells the bit, cells.
        view: what the agent sees.
        horizon: steps per episode.
    """

    info_keys = ("success", "unstable")
    all_tasks = np.array([[0.0], [1.0]])  # the blue box is right, the red box is right

    def __init__(
        self,
        *,
        maze: Sequence[str],
        cue_range: float,
        view: MazeView,
        horizon: int,
    ) -> None:
        self.map, self.view = MazeMap(maze, cue_range=cue_range), view
        super().__init__(
            observation_space=view.space,
            action_space=Discrete(NUM_ACTIONS),
            task_space=Box(0.0, 1.0, (1,), np.float64),
            task_names=("red_is_right",),
            horizon=horizon,
        )

    def batch(self, num_envs: int, *, threads: int = 1) -> MazeBatch:
        """Return agents in mazes."""
        return MazeBatch(self, num_envs, threads)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return what is known exactly.

        "oracle" knows the bit; "bayes_optimal" does not before the grey box told it, and the number
        is that of its first episode; "blind_guess" goes to a box without asking.
        """
        return {
            "oracle": (best_return(self.map, horizon=self.horizon, informed=True),),
            "bayes_optimal": (best_return(self.map, horizon=self.horizon, informed=False),),
            "blind_guess": (0.0,),
        }

    def optimal_steps(self) -> float:
        """Return the exact mean length of the shortest plan that always ends at the right box.

        The plan knows where everything is, as `VectorView` tells. From images it can be carried out
        all the same: both boxes come into view on the way back, before it matters where they are.
        """
        return optimal_steps(self.map)

    def facts(self) -> dict[str, str]:
        """Return the length of the shortest sure plan."""
        return {"optimal length": f"{self.optimal_steps():.2f} steps, by way of the grey box"}

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 1]` to bits `[num, 1]`."""
        return np.floor(2.0 * uniform)


class MazeBatch(NumpyBatch[Maze]):
    """Agents in mazes, each with boxes of its own.

    Attributes:
        pose: `[B]`, as `MazeMap` numbers them.
        boxes: cells of the blue and of the red box, `[B, 2]`.
    """

    def __init__(self, family: Maze, num_envs: int, threads: int) -> None:
        super().__init__(family, num_envs)
        self._map, self._eyes = family.map, family.view.eyes(family.map, threads)
        self.pose = np.zeros(num_envs, np.int64)
        self.boxes = np.zeros((num_envs, 2), np.int64)

    def initialize(self, rows: np.ndarray) -> None:
        """Draw poses and places of the boxes."""
        starts, layouts = self._map.start_poses, self._map.layouts
        uniform = self.random.uniform(2, rows)
        self.pose[rows] = one_of(starts, uniform[:, 0])
        self.boxes[rows] = one_of(layouts, uniform[:, 1])

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Turn, step, or touch a box."""
        ahead = np.where(actions == FORWARD, self._map.ahead[self.pose], BLOCKED)
        blue, red = ahead == self.boxes[:, 0], ahead == self.boxes[:, 1]
        touched = blue | red
        pose = np.where(touched, self.pose, self._map.next_pose[actions, self.pose])
        if rows is None:
            self.pose = pose
        else:
            self.pose[rows] = pose[rows]
        success = np.where(self._red_is_right(), red, blue).astype(np.float64)
        return Outcome(
            reward=2.0 * success - touched,
            terminated=touched,
            unstable=np.zeros(self.num_envs, bool),
            info={"success": success},
        )

    def observe(self) -> np.ndarray:
        """Return what the agents see, `[B, ...]`."""
        return self._eyes.observe(self._state())

    def play_a_little(self) -> None:
        """Stand where the grey box tells its secret, looking at it."""
        self.pose[:] = self._map.poses_at_grey[-1]
        self.last_obs = self.observe()

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row from above, beside what the agent sees if that is an image.

        The right box has a green frame; where the grey box can be asked, the floor is yellow.
        """
        state = self._state()
        above = top_view(
            self._map,
            pose=int(state.pose[row]),
            boxes=self.boxes[row],
            right=int(self._red_is_right()[row]),
            cue=int(state.cue[row]),
        )
        assert isinstance(self.last_obs, np.ndarray)
        seen = self.family.view.picture(self.last_obs[row])
        return above if seen is None else side_by_side(seen, above)

    def _state(self) -> MazeState:
        cue = np.where(self._red_is_right(), 1, -1) * self._map.in_range[self.pose]
        return MazeState(self.pose, self.boxes[:, 0], self.boxes[:, 1], cue)

    def _red_is_right(self) -> np.ndarray:
        return self.tasks[:, 0] > 0.5
