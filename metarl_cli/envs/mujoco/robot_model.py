"""What is known of a robot before it is simulated: its model, and what is observed of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_choice
from metarl_cli.envs.mujoco.center_of_mass import require_hinges
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


class RobotModel:
    """One robot, as the settings of `Locomotion` describe it.

    Args:
        robot: which one.
        velocity: see `Locomotion`.
        observation: see `Locomotion`.
        contact_forces: whether the forces on its bodies are computed.
    """

    def __init__(
        self,
        robot: Robot,
        *,
        velocity: VelocityKind,
        observation: Sequence[ObservationPart],
        contact_forces: bool,
    ) -> None:
        require_choice("velocity", velocity, get_args(VelocityKind))
        legal = list(get_args(ObservationPart))
        if not observation or any(name not in legal for name in observation):
            raise ValueError(f"observation: got {list(observation)}, expected some of {legal}")
        self.axes = robot.axes
        self.velocity, self.observation = velocity, tuple(observation)
        self.contact_forces = contact_forces
        self.model = compile_model(robot, contact_forces=contact_forces)
        self.start_pose = start_pose(self.model, robot)
        self._control_scale = control_scale(self.model, robot)
        if self.tracks_mass:
            require_hinges(self.model, planar=self.planar)
        if self.planar and "torso_rotation" in observation:
            raise ValueError("torso_rotation: this robot is confined to a plane")

    @property
    def planar(self) -> bool:
        """Whether it is confined to the x-z plane."""
        return self.axes == 1

    @property
    def tracks_mass(self) -> bool:
        """Whether its centre of mass (or its root's rotation) is computed after each step."""
        return bool({"center_of_mass", "torso_rotation"} & {self.velocity, *self.observation})

    @property
    def root_rates(self) -> int:
        """Number of velocities that are the root's."""
        return 3 if self.planar else 6

    @property
    def observation_size(self) -> int:
        """Size O of an observation."""
        model, bodies = self.model, self.model.nbody - 1
        sizes: dict[ObservationPart, int] = {
            "positions": model.nq - self.axes,
            "world_positions": model.nq,
            "velocities": model.nv,
            "clipped_velocities": model.nv,
            "center_of_mass": 3,
            "torso_rotation": 9,
            "inertias": 10 * bodies,
            "body_velocities": 6 * bodies,
            "actuator_forces": model.nv - self.root_rates,
        }
        return sum(sizes[part] for part in self.observation)

    @property
    def action_space(self) -> Box:
        """The actions that mean controls within the actuators' range."""
        bounds = self.model.actuator_ctrlrange / self._control_scale[:, None]
        bounds = bounds.astype(np.float32)
        return Box(bounds[:, 0], bounds[:, 1], dtype=np.float32)

    def controls(self, actions: np.ndarray) -> np.ndarray:
        """Return the controls `[B, A]` that actions `[B, A]` stand for."""
        return actions * self._control_scale
