"""A batch of one robot: its physics, how it moves, and what it observes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import mujoco
import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_choice
from metarl_cli.envs.mujoco.center_of_mass import PlanarCenterOfMass, SpatialCenterOfMass
from metarl_cli.envs.mujoco.health import Healthy
from metarl_cli.envs.mujoco.physics import Physics
from metarl_cli.envs.mujoco.robots import Robot, compile_model, control_scale, start_pose

VelocityKind = Literal["root", "center_of_mass", "center_of_mass_mean"]
ObservationPart = Literal[
    "positions",
    "world_positions",
    "velocities",
    "clipped_velocities",
    "center_of_mass",
    "torso_rotation",
    "inertias",
    "body_velocities",
    "actuator_forces",
]

_CLIPPED_AT = 10.0  # m/s and rad/s: gymnasium's walker and hopper
_TORSO = 1  # the first body after the world
_STAGE = mujoco.mjtStage


class RobotBatch:
    """`B` simulations of one robot, as the settings of `MujocoTaskEnv` describe them.

    What MuJoCo derives from the coordinates ("center_of_mass_mean", the velocity of a free root,
    and the last three parts of observations) is, as in gymnasium, one stage of the integrator older
    than the state after the step; with `contact_forces` it is current.

    Args:
        robot: which one.
        velocity: see `MujocoTaskEnv`.
        observation: see `MujocoTaskEnv`.
        contact_forces: whether `contact_forces` is computed.
        num_envs: number of simulations B.
        num_threads: physics threads, 0 for all CPUs.
    """

    def __init__(
        self,
        robot: Robot,
        *,
        velocity: VelocityKind,
        observation: Sequence[ObservationPart],
        contact_forces: bool,
        num_envs: int,
        num_threads: int,
    ) -> None:
        kinds = ("root", "center_of_mass", "center_of_mass_mean")
        require_choice("velocity", velocity, kinds)
        self.axes = robot.axes
        self._stage = (_STAGE.mjSTAGE_ACC if contact_forces else _STAGE.mjSTAGE_NONE).value
        model = compile_model(robot, contact_forces=contact_forces)
        self.physics = Physics(model, num_envs, num_threads)
        self.qpos, self.qvel = self.physics.qpos, self.physics.qvel
        self.start_pose = start_pose(model, robot)
        self._control_scale = control_scale(model, robot)
        self._reads_derived = False
        self._mass: PlanarCenterOfMass | SpatialCenterOfMass | None = None
        if {"center_of_mass", "torso_rotation"} & {velocity, *observation}:
            kind = PlanarCenterOfMass if robot.axes == 1 else SpatialCenterOfMass
            self._mass = kind(self.physics)
        self._place = self._moving_place(velocity)
        if contact_forces:
            self.contact_forces = self._derive("cfrc_ext")[:, _TORSO:]  # [B, bodies, 6], N m and N
        self._parts = self._observation_parts(observation)
        self.observation_size = sum(part.shape[1] for part in self._parts)
        self._clipped = [name == "clipped_velocities" for name in observation]

    @property
    def position(self) -> np.ndarray:
        """The root's place in the world, `[B, axes]`, m: a live view."""
        return self.qpos[:, : self.axes]

    @property
    def action_space(self) -> Box:
        """The actions that mean controls within the actuators' range."""
        bounds = self.physics.model.actuator_ctrlrange / self._control_scale[:, None]
        bounds = bounds.astype(np.float32)
        return Box(bounds[:, 0], bounds[:, 1], dtype=np.float32)

    def controls(self, actions: np.ndarray) -> np.ndarray:
        """Return the controls `[B, A]` that actions `[B, A]` stand for."""
        return actions * self._control_scale

    def begin(self, rows: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Put simulations in a new state.

        Args:
            rows: `[R]`.
            positions: offsets from the start pose, `[R, Q]`.
            velocities: `[R, V]`.
        """
        self.physics.reset(rows)
        self.qpos[rows] = self.start_pose + positions
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
        obs = np.empty((len(self.qpos), self.observation_size), np.float32)
        start = 0
        for part, clipped in zip(self._parts, self._clipped, strict=True):
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

    def _observation_parts(self, names: Sequence[str]) -> list[np.ndarray]:
        legal = list(ObservationPart.__args__)  # type: ignore[attr-defined]
        if not names or any(name not in legal for name in names):
            raise ValueError(f"observation: got {list(names)}, expected some of {legal}")
        return [self._observation_part(name) for name in names]

    def _observation_part(self, name: str) -> np.ndarray:
        """Return a live view of one part, `[B, size]`."""
        root_rates = 6 if self.axes == 2 else 3
        match name:
            case "positions":
                return self.qpos[:, self.axes :]
            case "world_positions":
                return self.qpos
            case "center_of_mass":
                assert self._mass is not None
                return self._mass.position
            case "torso_rotation":
                if not isinstance(self._mass, SpatialCenterOfMass):
                    raise ValueError("torso_rotation: this robot is confined to a plane")
                return self._mass.rotation
            case "inertias":
                return _of_bodies(self._derive("cinert"))
            case "body_velocities":
                return _of_bodies(self._derive("cvel"))
            case "actuator_forces":
                return self._derive("qfrc_actuator")[:, root_rates:]
        return self.qvel


def _of_bodies(field: np.ndarray) -> np.ndarray:
    """Drop the world and flatten: `[B, 1 + bodies, n]` to `[B, bodies * n]`, a view."""
    return field.reshape(len(field), -1)[:, field.shape[2] :]
