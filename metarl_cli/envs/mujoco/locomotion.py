"""Robots with hidden tasks, simulated by the batch on MuJoCo's own threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_choice, require_not_negative, require_positive
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLUE, GREEN
from metarl_cli.envs.base.random_rows import RowRandom
from metarl_cli.envs.mujoco.arrows import Arrow
from metarl_cli.envs.mujoco.contact import ContactCost
from metarl_cli.envs.mujoco.dynamics import NOMINAL, RandomDynamics
from metarl_cli.envs.mujoco.health import Healthy
from metarl_cli.envs.mujoco.objectives import Motion, Objective, mean_reward_at_rest
from metarl_cli.envs.mujoco.physics import LARGEST
from metarl_cli.envs.mujoco.robot_batch import RobotBatch
from metarl_cli.envs.mujoco.robot_model import ObservationPart, RobotModel, VelocityKind
from metarl_cli.envs.mujoco.robots import find_robot
from metarl_cli.envs.mujoco.view import ABOVE, SIDE, SceneView


@dataclass(frozen=True)
class ResetNoise:
    """How far start states lie from the robot's start pose.

    Args:
        position: "uniform" in +-`position_scale`, or "normal" with that standard deviation.
        position_scale: of every coordinate: m or rad.
        velocity_std: standard deviation of every velocity: m/s or rad/s.
        velocity_bound: instead of it, velocities are uniform in +- this: m/s or rad/s.
    """

    position: Literal["uniform", "normal"]
    position_scale: float
    velocity_std: float = 0.0
    velocity_bound: float = 0.0

    def __post_init__(self) -> None:
        require_choice("reset_noise.position", self.position, ("uniform", "normal"))
        for name in ("position_scale", "velocity_std", "velocity_bound"):
            require_not_negative(**{f"reset_noise.{name}": getattr(self, name)})
        if self.velocity_std and self.velocity_bound:
            raise ValueError("reset_noise: got both velocity_std and velocity_bound, expected one")

    def draw_positions(self, random: RowRandom, size: int, rows: np.ndarray) -> np.ndarray:
        """Return offsets from the start pose, `[R, size]`."""
        return self.position_scale * _draw(random, self.position, size, rows)

    def draw_velocities(self, random: RowRandom, size: int, rows: np.ndarray) -> np.ndarray:
        """Return velocities, `[R, size]`."""
        if self.velocity_bound:
            return self.velocity_bound * _draw(random, "uniform", size, rows)
        return self.velocity_std * _draw(random, "normal", size, rows)


class Locomotion(NumpyFamily):
    """A robot times an objective, both named in YAML.

    Reward = objective - control cost (+ bonus for standing - contact cost, where there are any).

    Info: `velocity` along x (m/s), the reward terms `reward_goal`, `reward_control`,
    `reward_healthy`, `reward_contact`, and what the objective reports.

    Args:
        robot: key of `robots.ROBOTS`.
        objective: the hidden task and its reward.
        frame_skip: physics steps per environment step.
        horizon: environment steps per episode.
        control_cost: weight of the sum of squared controls, within the actuators' range.
        velocity: what moves: the robot's "root" or its center of mass, "center_of_mass_mean" (both
            mean over the step), or "center_of_mass" (at the end of the step).
        observation: parts, in order: "positions" (without the place in the world),
            "world_positions" (with it), "velocities", "clipped_velocities" (to +-10),
            "center_of_mass" (of the whole body, x, y and z in the world, m), "torso_rotation" (a
            matrix), and gymnasium's humanoid's "inertias", "body_velocities", "actuator_forces".
        reset_noise: arguments of `ResetNoise`.
        healthy: arguments of `Healthy`; None for robots that cannot fall.
        contact_cost: arguments of `ContactCost`; None for no such cost.
        dynamics: arguments of `RandomDynamics`, whose exponents follow the objective's numbers in
            the task; None for the robot as it is.
    """

    def __init__(
        self,
        *,
        robot: str,
        objective: Objective,
        frame_skip: int,
        horizon: int,
        control_cost: float,
        velocity: VelocityKind,
        observation: Sequence[ObservationPart],
        reset_noise: dict,
        healthy: dict | None = None,
        contact_cost: dict | None = None,
        dynamics: dict | None = None,
    ) -> None:
        require_positive(frame_skip=frame_skip, horizon=horizon)
        require_not_negative(control_cost=control_cost)
        if dynamics and "center_of_mass" in (velocity, *observation):
            raise ValueError("dynamics: the center of mass is known for the nominal masses only")
        self.objective = objective
        self.frame_skip, self.control_cost = frame_skip, control_cost
        self.reset_noise = ResetNoise(**reset_noise)
        self.healthy = None if healthy is None else Healthy(**healthy)
        contact = None if contact_cost is None else ContactCost(**contact_cost)
        self.contact_cost = contact if contact is not None and contact.weight > 0 else None
        self.robot = RobotModel(
            find_robot(robot),
            velocity=velocity,
            observation=observation,
            contact_forces=self.contact_cost is not None,
        )
        self.dynamics = RandomDynamics(self.robot.model, **(dynamics or NOMINAL))
        self.info_keys = self._info_keys()
        self.all_tasks = None if dynamics else objective.all_tasks
        super().__init__(
            observation_space=Box(-LARGEST, LARGEST, (self.robot.observation_size,), np.float32),
            action_space=self.robot.action_space,
            task_space=_join(objective.task_space, self.dynamics.task_space),
            task_names=(*objective.task_names, *self.dynamics.task_names),
            horizon=horizon,
        )

    def batch(self, num_envs: int, *, threads: int = 1) -> LocomotionBatch:
        """Return robots."""
        return LocomotionBatch(self, num_envs, threads)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return what a robot would get that just stayed where it starts, without effort."""
        at_rest = mean_reward_at_rest(self.objective, self.robot.axes)
        bonus = 0.0 if self.healthy is None else self.healthy.bonus
        return {"at_rest": (self.horizon * (at_rest + bonus),)}

    def _info_keys(self) -> tuple[str, ...]:
        parts = {"reward_healthy": self.healthy, "reward_contact": self.contact_cost}
        return (
            "velocity",
            "reward_goal",
            "reward_control",
            *(key for key, part in parts.items() if part is not None),
            *self.objective.info_keys,
            "unstable",
        )

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` to tasks: the objective's numbers, then the dynamics' exponents."""
        goals, exponents = self.split(uniform)
        parts = (
            self.objective.tasks_from_uniform(goals),
            self.dynamics.tasks_from_uniform(exponents),
        )
        return np.concatenate(parts, axis=1)

    def split(self, tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Part the objective's columns of `[num, D]` from those of the dynamics."""
        size = len(self.objective.task_names)
        return tasks[:, :size], tasks[:, size:]


class LocomotionBatch(NumpyBatch[Locomotion]):
    """Robots that move, `qpos` `[B, Q]` and `qvel` `[B, V]`."""

    def __init__(self, family: Locomotion, num_envs: int, threads: int) -> None:
        super().__init__(family, num_envs)
        self.robots = RobotBatch(family.robot, num_envs, threads)
        self.physics = self.robots.physics
        self.qpos, self.qvel = self.robots.qpos, self.robots.qvel
        self._dynamics = family.dynamics.of(self.physics)
        self._view: SceneView | None = None

    def simulate_only(self, actions: np.ndarray) -> None:
        """Set controls and step the bare physics: what `metarl bench` compares with."""
        self.physics.ctrl[:] = self.family.robot.controls(actions)
        self.physics.step(None, self.family.frame_skip)

    def roll_out_only(self, actions: np.ndarray) -> None:
        """Step the bare physics through `[T, B, A]`: what `metarl bench` compares with, too."""
        self.physics.roll_out(self.family.robot.controls(actions), self.family.frame_skip)

    def initialize(self, rows: np.ndarray) -> None:
        """Give robots the dynamics of their tasks and draw start states."""
        noise, robots = self.family.reset_noise, self.robots
        positions = noise.draw_positions(self.random, robots.qpos.shape[1], rows)
        velocities = noise.draw_velocities(self.random, robots.qvel.shape[1], rows)
        self._dynamics.apply(self.family.split(self.tasks)[1][rows], rows)
        robots.begin(rows, positions, velocities)

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Move; add up the terms of the reward."""
        family, robots = self.family, self.robots
        controls = family.robot.controls(actions)
        velocity = robots.move(controls, rows, family.frame_skip)
        motion = Motion(robots.position, velocity)
        goal, report = family.objective.reward(motion, family.split(self.tasks)[0])
        terms = {
            "reward_goal": goal,
            "reward_control": -family.control_cost * np.einsum("ba,ba->b", controls, controls),
        }
        terminated = np.zeros(self.num_envs, bool)
        if family.healthy is not None:
            standing = robots.standing(family.healthy)
            terminated = ~standing
            terms["reward_healthy"] = family.healthy.bonus * standing
        if family.contact_cost is not None:
            terms["reward_contact"] = -family.contact_cost.of(robots.contact_forces)
        return Outcome(
            reward=reduce(np.add, terms.values()),
            terminated=terminated,
            unstable=self.physics.unstable(),
            info={"velocity": velocity[:, 0], **terms, **report},
        )

    def observe(self) -> np.ndarray:
        """Return the parts of the observation, `[B, O]`."""
        return self.robots.observe()

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`.

        The task is green, a place or an arrow as long as the wanted speed; the robot's own velocity
        is a blue arrow beside the green one.
        """
        if self._view is None:
            camera = SIDE if self.family.robot.planar else ABOVE
            self._view = SceneView(self.family.robot.model, camera)
        radius = self.family.objective.goal_radius
        goals = [] if radius is None else [(*self.tasks[row, :2], 0.0, radius)]
        return self._view.picture(self.qpos[row], goals, self._arrows(row))

    def _arrows(self, row: int) -> list[Arrow]:
        goal = self.family.split(self.tasks)[0][row]
        if (wanted := self.family.objective.wanted_velocity(goal)) is None:
            return []
        own = np.zeros(2)
        own[: self.family.robot.axes] = self.qvel[row, : self.family.robot.axes]
        return [Arrow(wanted, GREEN), Arrow(own, BLUE)]

    def close(self) -> None:
        """See `NumpyBatch`."""
        if self._view is not None:
            self._view.close()


def _join(first: Box, second: Box) -> Box:
    low, high = (first.low, second.low), (first.high, second.high)
    return Box(np.concatenate(low), np.concatenate(high), dtype=np.float64)


def _draw(random: RowRandom, kind: str, size: int, rows: np.ndarray) -> np.ndarray:
    """Draw `[R, size]` numbers, uniform in +-1 or standard normal."""
    if kind == "uniform":
        return 2.0 * random.uniform(size, rows) - 1.0
    return random.normal(size, rows)
