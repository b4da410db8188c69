"""Robotic manipulation: push the right one of five blocks to a goal that is not shown.

The block pushing of MAESN (Gupta et al. 2018, arXiv:1802.07245, section 6), as its code has it, but
for the timestep: at the authors' 0.01 s a gripper at full force passes through the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import mujoco
import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_positive, require_range
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.mujoco.physics import LARGEST, Physics
from metarl_cli.envs.mujoco.view import SceneCamera, SceneView

NUM_BLOCKS = 5

_XML = Path(__file__).parent / "assets" / "block_push.xml"
_ORDERS = np.array(list(permutations(range(NUM_BLOCKS))))  # [120, 5], the band of each block
_NUM_GRIPPER = 3  # coordinates: x, y (m), yaw (rad)
_TABLE_Z, _BLOCK_TOP_Z = -0.325, -0.225  # m
_CAMERA = SceneCamera(azimuth=90.0, elevation=-90.0, span=1.8, height=-0.3, place=(0.45, 0.0))
_GRID = 24  # midpoints per axis for the mean over tasks


class BlockPush(NumpyFamily):
    """A gripper, pushed and turned by forces, among five blocks; one block and its goal are meant.

    Blocks start in bands across y, one in each, in any order; the goal lies farther along x in the
    band of the block that is meant. Actions: two forces of up to 2 N and a torque of up to 2 N m.
    Observed: gripper x, y, yaw, the blocks' x and y, and all 13 velocities; neither which block is
    meant nor its goal.

    Dense reward: minus `distance_weight` times the distance between block and goal. Sparse reward:
    the same plus the constant that makes it 0 for a block at the origin, but 0 wherever the block
    is farther than `goal_radius` from the goal. The authors' sparse reward is that constant lower,
    which differs between goals and so tells of the goal from the first step. The kind that is not
    the reward is in info.

    A task is the number of the block, the goal's x and y, and x and y of each block (m).

    Args:
        band_low: y where the first band begins, m.
        band_width: of each of the five bands, m.
        block_x: `[low, high]` of where blocks start along x, m.
        goal_x: the same for the goal.
        goal_radius: a block within this distance of the goal is a success, m.
        distance_weight: reward per metre.
        dense: reward the distance everywhere.
        timestep_s: of the physics, s.
        frame_skip: physics steps per environment step.
        horizon: environment steps per episode.
    """

    start_shows_task = True  # the layout, not the goal

    def __init__(
        self,
        *,
        band_low: float,
        band_width: float,
        block_x: Sequence[float],
        goal_x: Sequence[float],
        goal_radius: float,
        distance_weight: float,
        dense: bool,
        timestep_s: float,
        frame_skip: int,
        horizon: int,
    ) -> None:
        require_positive(band_width=band_width, goal_radius=goal_radius, timestep_s=timestep_s)
        require_positive(distance_weight=distance_weight, frame_skip=frame_skip, horizon=horizon)
        self._block_x = require_range("block_x", block_x)
        self._goal_x = require_range("goal_x", goal_x)
        self._band_low, self._band_width = band_low, band_width
        self.goal_radius, self._weight, self._dense = goal_radius, distance_weight, dense
        self.info_keys = ("success", "reward_sparse" if dense else "reward_dense", "unstable")
        self.model = model = mujoco.MjModel.from_xml_path(str(_XML))
        model.opt.timestep = timestep_s
        self.frame_skip = frame_skip
        forces = model.actuator_ctrlrange.astype(np.float32)
        super().__init__(
            observation_space=Box(-LARGEST, LARGEST, (model.nq + model.nv,), np.float32),
            action_space=Box(forces[:, 0], forces[:, 1], dtype=np.float32),
            task_space=self._task_space(),
            task_names=(
                "block",
                "goal_x",
                "goal_y",
                *(f"block_{block}_{axis}" for block in range(NUM_BLOCKS) for axis in "xy"),
            ),
            horizon=horizon,
        )

    def batch(self, num_envs: int, *, threads: int = 1) -> BlockPushBatch:
        """Return grippers on tables."""
        return BlockPushBatch(self, num_envs, threads)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return the mean return of a gripper that stands still.

        Blocks that overlap at the start push each other a little; that is left out.
        """
        part = (np.arange(_GRID) + 0.5) / _GRID
        uniform = np.stack(np.meshgrid(part, part, part, part, indexing="ij"), axis=-1)
        block_x, block_y, goal_x, goal_y = uniform.reshape(-1, 4).T
        goal = np.stack([_between(self._goal_x, goal_x), self._in_band(0.0, goal_y)], axis=1)
        block = np.stack([_between(self._block_x, block_x), self._in_band(0.0, block_y)], axis=1)
        distance = np.hypot(*(block - goal).T)
        rewards = []
        for band in range(NUM_BLOCKS):
            shifted = goal + np.array([0.0, band * self._band_width])
            rewards.append(self.rewards(distance, shifted)[0].mean())
        return {"do_nothing": (self.horizon * float(np.mean(rewards)),)}

    def _task_space(self) -> Box:
        y_low, y_high = self._band_low, self._band_low + NUM_BLOCKS * self._band_width
        low = [0.0, self._goal_x[0], y_low, *NUM_BLOCKS * (self._block_x[0], y_low)]
        high = [NUM_BLOCKS - 1.0, self._goal_x[1], y_high, *NUM_BLOCKS * (self._block_x[1], y_high)]
        return Box(np.array(low), np.array(high), dtype=np.float64)

    def _in_band(self, band: np.ndarray | float, uniform: np.ndarray) -> np.ndarray:
        return self._band_low + self._band_width * (band + uniform)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, 13]` to tasks `[num, 13]`: block, goal, places of the blocks."""
        choice = (uniform[:, 0] * NUM_BLOCKS * len(_ORDERS)).astype(np.int64)
        meant, order = np.divmod(choice, len(_ORDERS))
        bands = _ORDERS[order]  # [num, 5]
        tasks = np.empty_like(uniform)
        tasks[:, 0] = meant
        tasks[:, 1] = _between(self._goal_x, uniform[:, 1])
        tasks[:, 2] = self._in_band(bands[np.arange(len(bands)), meant], uniform[:, 2])
        tasks[:, 3::2] = _between(self._block_x, uniform[:, 3::2])
        tasks[:, 4::2] = self._in_band(bands, uniform[:, 4::2])
        return tasks

    def rewards(self, distance: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the reward at a distance `[n]` from goals `[n, 2]`, and that of the other kind."""
        dense = -self._weight * distance
        near = distance <= self.goal_radius
        sparse = np.where(near, dense + self._weight * np.hypot(*goal.T), 0.0)
        return (dense, sparse) if self._dense else (sparse, dense)


class BlockPushBatch(NumpyBatch[BlockPush]):
    """Grippers, each among blocks of its own."""

    def __init__(self, family: BlockPush, num_envs: int, threads: int) -> None:
        super().__init__(family, num_envs)
        self.physics = Physics(family.model, num_envs, threads)
        self._view: SceneView | None = None

    def simulate_only(self, actions: np.ndarray) -> None:
        """Set controls `[B, 3]` and step the bare physics: what `metarl bench` compares with."""
        self.physics.ctrl[:] = actions
        self.physics.step(None, self.family.frame_skip)

    def initialize(self, rows: np.ndarray) -> None:
        """Put the blocks where the tasks say."""
        self.physics.reset(rows)
        self.physics.qpos[rows, _NUM_GRIPPER:] = self.tasks[rows, 3:]

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Push."""
        self.physics.ctrl[:] = actions
        self.physics.step(rows, self.family.frame_skip)
        goal = self.tasks[:, 1:3]
        distance = np.hypot(*(self.meant_block() - goal).T)
        reward, other = self.family.rewards(distance, goal)
        return Outcome(
            reward=reward,
            terminated=np.zeros(self.num_envs, bool),
            unstable=self.physics.unstable(),
            info={
                "success": (distance <= self.family.goal_radius).astype(np.float64),
                self.family.info_keys[1]: other,
            },
        )

    def meant_block(self) -> np.ndarray:
        """Return where the block is that is meant, `[B, 2]`."""
        blocks = self.physics.qpos[:, _NUM_GRIPPER:].reshape(self.num_envs, NUM_BLOCKS, 2)
        return blocks[np.arange(self.num_envs), np.rint(self.tasks[:, 0]).astype(np.int64)]

    def observe(self) -> np.ndarray:
        """Return coordinates and velocities, `[B, 26]`."""
        return np.concatenate([self.physics.qpos, self.physics.qvel], axis=1, dtype=np.float32)

    def draw(self, row: int = 0) -> np.ndarray:
        """Return the table from above: the goal region and a dot on the block meant are green."""
        if self._view is None:
            self._view = SceneView(self.family.model, _CAMERA)
        goal_x, goal_y = self.tasks[row, 1:3]
        x, y = self.meant_block()[row]
        region = (goal_x, goal_y, _TABLE_Z, self.family.goal_radius)
        return self._view.picture(self.physics.qpos[row], [region, (x, y, _BLOCK_TOP_Z, 0.022)])

    def close(self) -> None:
        """See `NumpyBatch`."""
        if self._view is not None:
            self._view.close()


def _between(bounds: tuple[float, float], uniform: np.ndarray) -> np.ndarray:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform
