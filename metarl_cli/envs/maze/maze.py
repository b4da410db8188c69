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

from metarl_cli.core.checks import require_positive
from metarl_cli.envs.base.random_rows import one_of
from metarl_cli.envs.base.vector_env import Outcome, TaskVectorEnv
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


class MazeView(Protocol):
    """What an agent sees of a maze."""

    def prepare(self, maze: MazeMap, num_envs: int) -> Box:
        """Get ready to look at `num_envs` copies of a maze; return the space of one look."""

    def observe(self, state: MazeState) -> np.ndarray:
        """Return new observations `[B, ...]`."""

    def picture(self, obs: np.ndarray) -> np.ndarray | None:
        """Return one observation as an image, uint8 `[height, width, 3]`, if it is one."""


class VectorView:
    """Numbers, `[B, 9]`, places in [-1, 1] from border to border of the longer side.

    Place of the agent (2), its heading as cosine and sine (from east, counter-clockwise), places of
    the blue (2) and of the red box (2), and the cue: -1 blue, +1 red, 0 too far from the grey box.
    """

    def prepare(self, maze: MazeMap, num_envs: int) -> Box:
        """See `MazeView`."""
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
        return Box(-1.0, 1.0, (9,), np.float32)

    def observe(self, state: MazeState) -> np.ndarray:
        """See `MazeView`."""
        obs = np.empty((len(state.pose), 9), np.float32)
        obs[:, :4] = self._poses[state.pose]
        obs[:, 4:6] = self._places[state.blue]
        obs[:, 6:8] = self._places[state.red]
        obs[:, 8] = state.cue
        return obs

    def picture(self, obs: np.ndarray) -> np.ndarray | None:
        """See `MazeView`."""
        return None


class Maze(TaskVectorEnv):
    """Turn left or right by 45 degrees or step forward, until a coloured box is touched.

    Episodes start in a random start cell with a random heading, and the boxes stand in two random
    places; all this is drawn anew each time, only the bit belongs to the task. A box is touched by
    a step that would lead into it. Cells and headings make a finite set of poses, so that the
    optimal policy is computed, not estimated (`maze_planner`).

    Args:
        maze: the letters of `MazeMap`.
        cue_range: distance from which the grey box tells the bit, cells.
        view: what the agent sees.
        horizon: steps per episode.
        num_envs: number of environments B.
        num_threads: accepted by every environment; there is nothing to run in parallel here.
        render_mode: None or "rgb_array".
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
        num_envs: int,
        num_threads: int = 0,
        render_mode: str | None = None,
    ) -> None:
        require_positive(num_envs=num_envs)
        self._maze = MazeMap(maze, cue_range=cue_range)
        self._view = view
        super().__init__(
            observation_space=view.prepare(self._maze, num_envs),
            action_space=Discrete(NUM_ACTIONS),
            task_space=Box(0.0, 1.0, (1,), np.float64),
            task_names=("red_is_right",),
            horizon=horizon,
            num_envs=num_envs,
            render_mode=render_mode,
        )
        self._pose = np.zeros(num_envs, np.int64)
        self._boxes = np.zeros((num_envs, 2), np.int64)  # cells of the blue and of the red box

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return what is known exactly.

        "oracle" knows the bit; "bayes_optimal" does not before the grey box told it, and the number
        is that of its first episode; "blind_guess" goes to a box without asking.
        """
        return {
            "oracle": (best_return(self._maze, horizon=self.horizon, informed=True),),
            "bayes_optimal": (best_return(self._maze, horizon=self.horizon, informed=False),),
            "blind_guess": (0.0,),
        }

    def optimal_steps(self) -> float:
        """Return the exact mean length of the shortest plan that always ends at the right box.

        The plan knows where everything is, as `VectorView` tells. From images it can be carried out
        all the same: both boxes come into view on the way back, before it matters where they are.
        """
        return optimal_steps(self._maze)

    def _tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        return np.floor(2.0 * uniform)

    def _initialize(self, rows: np.ndarray) -> None:
        starts, layouts = self._maze.start_poses, self._maze.layouts
        uniform = self._random.uniform(2, rows)
        self._pose[rows] = one_of(starts, uniform[:, 0])
        self._boxes[rows] = one_of(layouts, uniform[:, 1])

    def _simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        ahead = np.where(actions == FORWARD, self._maze.ahead[self._pose], BLOCKED)
        blue, red = ahead == self._boxes[:, 0], ahead == self._boxes[:, 1]
        touched = blue | red
        pose = np.where(touched, self._pose, self._maze.next_pose[actions, self._pose])
        if rows is None:
            self._pose = pose
        else:
            self._pose[rows] = pose[rows]
        success = np.where(self._red_is_right(), red, blue).astype(np.float64)
        return Outcome(
            reward=2.0 * success - touched,
            terminated=touched,
            unstable=np.zeros(self.num_envs, bool),
            info={"success": success},
        )

    def _observe(self) -> np.ndarray:
        return self._view.observe(self._state())

    def play_a_little(self) -> None:
        """Stand where the grey box tells its secret, looking at it."""
        self._pose[:] = self._maze.poses_at_grey[-1]
        self._remember(self._observe(), None)

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row from above, beside what the agent sees if that is an image.

        The right box has a green frame; where the grey box can be asked, the floor is yellow.
        """
        state = self._state()
        above = top_view(
            self._maze,
            pose=int(state.pose[row]),
            boxes=self._boxes[row],
            right=int(self._red_is_right()[row]),
            cue=int(state.cue[row]),
        )
        assert isinstance(self._last_obs, np.ndarray)
        seen = self._view.picture(self._last_obs[row])
        return above if seen is None else side_by_side(seen, above)

    def _state(self) -> MazeState:
        cue = np.where(self._red_is_right(), 1, -1) * self._maze.in_range[self._pose]
        return MazeState(self._pose, self._boxes[:, 0], self._boxes[:, 1], cue)

    def _red_is_right(self) -> np.ndarray:
        return self.tasks[:, 0] > 0.5
