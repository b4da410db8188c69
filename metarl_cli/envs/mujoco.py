"""Robots with hidden tasks, simulated by the batch on MuJoCo's own threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from gymnasium.spaces import Box

from metarl_cli.envs.base import Outcome, TaskVectorEnv
from metarl_cli.envs.center_of_mass import PlanarCenterOfMass
from metarl_cli.envs.checks import require_choice, require_not_negative, require_positive
from metarl_cli.envs.objectives import Motion, Objective
from metarl_cli.envs.physics import LARGEST, Physics
from metarl_cli.envs.robots import compile_model, find_robot

ObservationPart = Literal["positions", "velocities", "center_of_mass"]


@dataclass(frozen=True)
class ResetNoise:
    """How far start states lie from the robot's default pose.

    Args:
        position: "uniform" in +-`position_scale`, or "normal" with that standard deviation.
        position_scale: of every coordinate: m or rad.
        velocity_std: standard deviation of every velocity: m/s or rad/s.
    """

    position: Literal["uniform", "normal"]
    position_scale: float
    velocity_std: float

    def __post_init__(self) -> None:
        require_choice("reset_noise.position", self.position, ("uniform", "normal"))
        require_not_negative(position_scale=self.position_scale, velocity_std=self.velocity_std)


class MujocoTaskEnv(TaskVectorEnv):
    """A robot times an objective, both named in YAML; reward = objective - control cost.

    Info: `velocity` along x (m/s), the two reward terms `reward_goal` and `reward_control`, and
    what the objective reports.

    Args:
        robot: key of `robots.ROBOTS`.
        objective: the hidden task and its reward.
        frame_skip: physics steps per environment step.
        horizon: environment steps per episode.
        control_cost: weight of the sum of squared actions, after clipping to the actuator range.
        velocity: what moves: the robot's "root" (mean over the step) or its "center_of_mass"
            (at the end of the step).
        observation: parts, in order: "positions" (without the place in the world), "velocities",
            "center_of_mass" (of the whole body, x, y and z in the world, m).
        reset_noise: arguments of `ResetNoise`.
        num_envs: number of environments B.
        num_threads: physics threads, 0 for all CPUs; results do not depend on it.
        render_mode: None or "rgb_array".
    """

    def __init__(
        self,
        *,
        robot: str,
        objective: Objective,
        frame_skip: int,
        horizon: int,
        control_cost: float,
        velocity: Literal["root", "center_of_mass"],
        observation: Sequence[ObservationPart],
        reset_noise: dict,
        num_envs: int,
        num_threads: int = 0,
        render_mode: str | None = None,
    ) -> None:
        require_positive(frame_skip=frame_skip, horizon=horizon)
        require_not_negative(control_cost=control_cost)
        require_choice("velocity", velocity, ("root", "center_of_mass"))
        self.info_keys = (
            "velocity",
            "reward_goal",
            "reward_control",
            *objective.info_keys,
            "unstable",
        )
        self._objective = objective
        self._frame_skip = frame_skip
        self._control_cost = control_cost
        self._reset_noise = ResetNoise(**reset_noise)
        self._axes = find_robot(robot).axes
        self._velocity_of_root = velocity == "root"
        model = compile_model(find_robot(robot))
        self._physics = Physics(model, num_envs, num_threads)
        self._qpos, self._qvel = self._physics.qpos, self._physics.qvel
        self._center_of_mass = np.zeros((num_envs, 4))  # x, y, z (m), velocity along x (m/s)
        self._mass: PlanarCenterOfMass | None = None
        if velocity == "center_of_mass" or "center_of_mass" in observation:
            self._mass = PlanarCenterOfMass(model)
        self._step_s = model.opt.timestep * frame_skip
        self._parts = self._observation_parts(observation)
        self._observation_size = sum(part.shape[1] for part in self._parts)
        control_range = model.actuator_ctrlrange.astype(np.float32)
        self.all_tasks = objective.all_tasks
        super().__init__(
            observation_space=Box(-LARGEST, LARGEST, (self._observation_size,), np.float32),
            action_space=Box(control_range[:, 0], control_range[:, 1], dtype=np.float32),
            task_space=objective.task_space,
            task_names=objective.task_names,
            horizon=horizon,
            num_envs=num_envs,
            render_mode=render_mode,
        )

    def _observation_parts(self, names: Sequence[str]) -> list[np.ndarray]:
        views = {
            "positions": self._qpos[:, self._axes :],
            "velocities": self._qvel,
            "center_of_mass": self._center_of_mass[:, :3],
        }
        unknown = [name for name in names if name not in views]
        if unknown or not names:
            raise ValueError(f"observation: got {list(names)}, expected some of {list(views)}")
        return [views[name] for name in names]

    def simulate_only(self, actions: np.ndarray) -> None:
        """Set controls `[B, A]` and step the bare physics: what `metarl bench` compares with."""
        self._physics.ctrl[:] = actions
        self._physics.step(None, self._frame_skip)

    def _tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        return self._objective.tasks_from_uniform(uniform)

    def _initialize(self, rows: np.ndarray) -> None:
        self._physics.reset(rows)
        noise, num_positions = self._reset_noise, self._qpos.shape[1]
        if noise.position == "uniform":
            offset = 2.0 * self._random.uniform(num_positions, rows) - 1.0
        else:
            offset = self._random.normal(num_positions, rows)
        self._qpos[rows] += noise.position_scale * offset
        self._qvel[rows] += noise.velocity_std * self._random.normal(self._qvel.shape[1], rows)
        if self._mass is not None:
            self._mass.compute(self._qpos, self._qvel, out=self._center_of_mass)

    def _simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        self._physics.ctrl[:] = actions
        before = self._qpos[:, : self._axes].copy()
        self._physics.step(rows, self._frame_skip)
        if self._mass is not None:
            self._mass.compute(self._qpos, self._qvel, out=self._center_of_mass)
        if self._velocity_of_root:
            velocity = (self._qpos[:, : self._axes] - before) / self._step_s
        else:
            velocity = self._center_of_mass[:, 3:].copy()
        motion = Motion(self._qpos[:, : self._axes], velocity)
        goal, report = self._objective.reward(motion, self.tasks)
        control = -self._control_cost * np.einsum("ba,ba->b", actions, actions)
        return Outcome(
            reward=goal + control,
            terminated=np.zeros(self.num_envs, bool),
            unstable=self._physics.unstable(),
            info={
                "velocity": velocity[:, 0],
                "reward_goal": goal,
                "reward_control": control,
                **report,
            },
        )

    def _observe(self) -> np.ndarray:
        obs = np.empty((self.num_envs, self._observation_size), np.float32)
        start = 0
        for part in self._parts:
            end = start + part.shape[1]
            obs[:, start:end] = part
            start = end
        return obs

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""
        data = mujoco.MjData(self._physics.model)
        data.qpos[:] = self._qpos[row]
        mujoco.mj_forward(self._physics.model, data)
        with mujoco.Renderer(self._physics.model, 240, 320) as renderer:
            renderer.update_scene(data)
            return renderer.render()
