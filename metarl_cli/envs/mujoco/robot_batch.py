"""A batch of one robot: its physics, how it moves, and what it observes."""

from __future__ import annotations

import mujoco
import numpy as np

from metarl_cli.envs.mujoco.center_of_mass import PlanarCenterOfMass, SpatialCenterOfMass
from metarl_cli.envs.mujoco.health import Healthy
from metarl_cli.envs.mujoco.physics import Physics
from metarl_cli.envs.mujoco.robot_model import RobotModel

_CLIPPED_AT = 10.0  # m/s and rad/s: gymnasium's walker and hopper
_TORSO = 1  # the first body after the world
_STAGE = mujoco.mjtStage


class RobotBatch:
    """`B` simulations of one robot.

    What MuJoCo derives from the coordinates ("center_of_mass_mean", the velocity of a free root,
    and the last three parts of observations) is, as in gymnasium, one stage of the integrator older
    than the state after the step; with `contact_forces` it is current.

    Args:
        robot: which one.
        num_envs: number of simulations B.
        threads: of the physics, 0 for all CPUs.

    Attributes:
        physics: the simulations; `qpos` and `qvel` are theirs.
        parts: of the observations, live views `[B, size]`.
        clipped: whether each part is clipped.
    """

    def __init__(self, robot: RobotModel, num_envs: int, threads: int) -> None:
        self.robot, self.axes = robot, robot.axes
        forces = robot.contact_forces
        self._stage = (_STAGE.mjSTAGE_ACC if forces else _STAGE.mjSTAGE_NONE).value
        self.physics = Physics(robot.model, num_envs, threads)
        self.qpos, self.qvel = self.physics.qpos, self.physics.qvel
        self._reads_derived = False
        self._mass: PlanarCenterOfMass | SpatialCenterOfMass | None = None
        if robot.tracks_mass:
            kind = PlanarCenterOfMass if robot.planar else SpatialCenterOfMass
            self._mass = kind(self.physics)
        self._place = self._moving_place(robot.velocity)
        if forces:
            self.contact_forces = self._derive("cfrc_ext")[:, _TORSO:]  # [B, bodies, 6], N m and N
        self.parts = [self._observation_part(name) for name in robot.observation]
        self.clipped = [name == "clipped_velocities" for name in robot.observation]

    @property
    def position(self) -> np.ndarray:
        """The root's place in the world, `[B, axes]`, m: a live view."""
        return self.qpos[:, : self.axes]

    def begin(self, rows: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Put simulations in a new state.

        Args:
            rows: `[R]`.
            positions: offsets from the start pose, `[R, Q]`.
            velocities: `[R, V]`.
        """
        self.physics.reset(rows)
        self.qpos[rows] = self.robot.start_pose + positions
        self.qvel[rows] = velocities
        if self._reads_derived:
            self.physics.batch.forward(rows)
        if self._mass is not None:
            self._mass.refresh()

    def move(self, controls: np.ndarray, rows: np.ndarray | None, num_steps: int) -> np.ndarray:
        """Advance simulations (None: all); return the velocities `[B, axes]`, m/s."""
        self.physics.ctrl[:] = controls
        before = None if self._place is None else self._place.copy()
        self.physics.step(rows, num_steps, self._stage)
        if self._mass is not None:
            self._mass.refresh()
        if self._place is None:
            assert self._mass is not None
            return self._mass.velocity.copy()
        return (self._place - before) / (self.physics.model.opt.timestep * num_steps)

    def standing(self, healthy: Healthy) -> np.ndarray:
        """Return which robots are in a healthy state, bool `[B]`."""
        height, others = self.qpos[:, self.axes], self.qpos[:, self.axes + 1 :]
        return healthy.judge(height, others, self.qvel)

    def observe(self) -> np.ndarray:
        """Return the observations, float32 `[B, O]`."""
        obs = np.empty((len(self.qpos), self.robot.observation_size), np.float32)
        start = 0
        for part, clipped in zip(self.parts, self.clipped, strict=True):
            end = start + part.shape[1]
            obs[:, start:end] = part
            if clipped:
                np.clip(obs[:, start:end], -_CLIPPED_AT, _CLIPPED_AT, out=obs[:, start:end])
            start = end
        return obs

    def _derive(self, field: str) -> np.ndarray:
        """Have MuJoCo hand out a quantity computed from the state: `[B, ...]`, a live view."""
        self._reads_derived = True
        return self.physics.batch.bind(field)

    def _moving_place(self, velocity: str) -> np.ndarray | None:
        """Return the place whose change is the velocity, `[B, axes]`; None if it is measured."""
        if velocity == "center_of_mass":
            return None
        if velocity == "center_of_mass_mean":
            return self._derive("subtree_com")[:, _TORSO, : self.axes]
        if self.axes == 1:
            return self.qpos[:, :1]
        return self._derive("xpos")[:, _TORSO, : self.axes]

    def _observation_part(self, name: str) -> np.ndarray:
        """Return a live view of one part, `[B, size]`."""
        match name:
            case "positions":
                return self.qpos[:, self.axes :]
            case "world_positions":
                return self.qpos
            case "center_of_mass":
                assert self._mass is not None
                return self._mass.position
            case "torso_rotation":
                assert isinstance(self._mass, SpatialCenterOfMass)
                return self._mass.rotation
            case "inertias":
                return _of_bodies(self._derive("cinert"))
            case "body_velocities":
                return _of_bodies(self._derive("cvel"))
            case "actuator_forces":
                return self._derive("qfrc_actuator")[:, self.robot.root_rates :]
        return self.qvel


def _of_bodies(field: np.ndarray) -> np.ndarray:
    """Drop the world and flatten: `[B, 1 + bodies, n]` to `[B, bodies * n]`, a view."""
    return field.reshape(len(field), -1)[:, field.shape[2] :]
