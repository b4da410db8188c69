"""Robots with hidden tasks, simulated by the batch on MuJoCo's own threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_choice, require_not_negative, require_positive
from metarl_cli.envs.base.random_rows import RowRandom
from metarl_cli.envs.base.vector_env import Outcome, TaskVectorEnv
from metarl_cli.envs.mujoco.contact import ContactCost
from metarl_cli.envs.mujoco.dynamics import NOMINAL, RandomDynamics
from metarl_cli.envs.mujoco.health import Healthy
from metarl_cli.envs.mujoco.objectives import Motion, Objective, mean_reward_at_rest
from metarl_cli.envs.mujoco.physics import LARGEST
from metarl_cli.envs.mujoco.robot_batch import ObservationPart, RobotBatch, VelocityKind
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


class MujocoTaskEnv(TaskVectorEnv):
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
        num_envs: number of environments B.
        num_threads: physics threads, 0 for all CPUs; results do not depend on it.
        render_mode: None or "rgb_array".
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
        num_envs: int,
        num_threads: int = 0,
        render_mode: str | None = None,
        healthy: dict | None = None,
        contact_cost: dict | None = None,
        dynamics: dict | None = None,
    ) -> None:
        require_positive(frame_skip=frame_skip, horizon=horizon)
        require_not_negative(control_cost=control_cost)
        if dynamics and "center_of_mass" in (velocity, *observation):
            raise ValueError("dynamics: the center of mass is known for the nominal masses only")
        self._objective = objective
        self._view: SceneView | None = None
        self._frame_skip = frame_skip
        self._control_cost = control_cost
        self._reset_noise = ResetNoise(**reset_noise)
        self._healthy = None if healthy is None else Healthy(**healthy)
        contact = None if contact_cost is None else ContactCost(**contact_cost)
        self._contact_cost = contact if contact is not None and contact.weight > 0 else None
        self._robot = RobotBatch(
            find_robot(robot),
            velocity=velocity,
            observation=observation,
            contact_forces=self._contact_cost is not None,
            num_envs=num_envs,
            num_threads=num_threads,
        )
        self._physics = self._robot.physics
        self._qpos, self._qvel = self._robot.qpos, self._robot.qvel
        self._dynamics = RandomDynamics(self._physics, **(dynamics or NOMINAL))
        self.info_keys = self._info_keys()
        self.all_tasks = None if dynamics else objective.all_tasks
        super().__init__(
            observation_space=Box(-LARGEST, LARGEST, (self._robot.observation_size,), np.float32),
            action_space=self._robot.action_space,
            task_space=_join(objective.task_space, self._dynamics.task_space),
            task_names=(*objective.task_names, *self._dynamics.task_names),
            horizon=horizon,
            num_envs=num_envs,
            render_mode=render_mode,
        )

    def simulate_only(self, actions: np.ndarray) -> None:
        """Set controls and step the bare physics: what `metarl bench` compares with."""
        self._physics.ctrl[:] = self._robot.controls(actions)
        self._physics.step(None, self._frame_skip)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return what a robot would get that just stayed where it starts, without effort."""
        at_rest = mean_reward_at_rest(self._objective, self._robot.axes)
        bonus = 0.0 if self._healthy is None else self._healthy.bonus
        return {"at_rest": (self.horizon * (at_rest + bonus),)}

    def _info_keys(self) -> tuple[str, ...]:
        parts = {"reward_healthy": self._healthy, "reward_contact": self._contact_cost}
        return (
            "velocity",
            "reward_goal",
            "reward_control",
            *(key for key, part in parts.items() if part is not None),
            *self._objective.info_keys,
            "unstable",
        )

    def _tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        goals, exponents = self._split(uniform)
        parts = (
            self._objective.tasks_from_uniform(goals),
            self._dynamics.tasks_from_uniform(exponents),
        )
        return np.concatenate(parts, axis=1)

    def _split(self, tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Part the objective's columns of `[num, D]` from those of the dynamics."""
        size = len(self._objective.task_names)
        return tasks[:, :size], tasks[:, size:]

    def _initialize(self, rows: np.ndarray) -> None:
        noise, robot = self._reset_noise, self._robot
        positions = noise.draw_positions(self._random, robot.qpos.shape[1], rows)
        velocities = noise.draw_velocities(self._random, robot.qvel.shape[1], rows)
        self._dynamics.apply(self._split(self.tasks)[1][rows], rows)
        robot.begin(rows, positions, velocities)

    def _simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        robot = self._robot
        controls = robot.controls(actions)
        velocity = robot.move(controls, rows, self._frame_skip)
        motion = Motion(robot.position, velocity)
        goal, report = self._objective.reward(motion, self._split(self.tasks)[0])
        terms = {
            "reward_goal": goal,
            "reward_control": -self._control_cost * np.einsum("ba,ba->b", controls, controls),
        }
        terminated = np.zeros(self.num_envs, bool)
        if self._healthy is not None:
            standing = robot.standing(self._healthy)
            terminated = ~standing
            terms["reward_healthy"] = self._healthy.bonus * standing
        if self._contact_cost is not None:
            terms["reward_contact"] = -self._contact_cost.of(robot.contact_forces)
        return Outcome(
            reward=reduce(np.add, terms.values()),
            terminated=terminated,
            unstable=self._physics.unstable(),
            info={"velocity": velocity[:, 0], **terms, **report},
        )

    def _observe(self) -> np.ndarray:
        return self._robot.observe()

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`; goals that are places show."""
        if self._view is None:
            camera = SIDE if self._robot.axes == 1 else ABOVE
            self._view = SceneView(self._physics.model, camera)
        radius = self._objective.goal_radius
        goals = [] if radius is None else [(*self.tasks[row, :2], 0.0, radius)]
        return self._view.picture(self._qpos[row], goals)

    def close_extras(self, **_: object) -> None:
        """Release what pictures needed."""
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
