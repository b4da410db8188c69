"""The robots are gymnasium's: step by step the same numbers, to nine digits after the point."""

from dataclasses import dataclass, field

import gymnasium
import mujoco
import numpy as np
import pytest

from metarl_cli.envs.mujoco.contact import ContactCost
from metarl_cli.envs.mujoco.health import Healthy
from metarl_cli.envs.mujoco.locomotion import Locomotion
from metarl_cli.envs.mujoco.objectives import Direction, Forward, Heading

NUM_STEPS = 1000
PLANAR = ["positions", "clipped_velocities"]
INSIDE = ["inertias", "body_velocities", "actuator_forces"]


@dataclass
class Case:
    """One of gymnasium's environments, and the settings that make ours the same."""

    id: str
    robot: str
    objective: object
    task: list
    frame_skip: int
    control_cost: float
    observation: list
    velocity: str = "root"
    healthy: dict | None = None
    theirs: dict = field(default_factory=dict)

    def ours(self, **settings):
        return Locomotion(
            robot=self.robot,
            objective=self.objective,
            frame_skip=self.frame_skip,
            horizon=2 * NUM_STEPS,
            control_cost=self.control_cost,
            velocity=self.velocity,
            observation=self.observation,
            reset_noise={"position": "uniform", "position_scale": 0.1, "velocity_std": 0.1},
            **settings,
        ).batch(1)


def standing(low, high, pitch=None, limit=None, bonus=1.0):
    return {
        "height_range": [low, high],
        "pitch_range": pitch,
        "state_limit": limit,
        "bonus": bonus,
    }


NO_CONTACT = {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}
CASES = [
    Case("HalfCheetah-v5", "half_cheetah", Direction(), [1.0], 5, 0.1, ["positions", "velocities"]),
    Case(
        id="Walker2d-v5",
        robot="walker2d",
        objective=Forward(),
        task=[],
        frame_skip=4,
        control_cost=0.001,
        observation=PLANAR,
        healthy=standing(0.8, 2.0, [-1.0, 1.0]),
    ),
    Case(
        id="Hopper-v5",
        robot="hopper",
        objective=Forward(),
        task=[],
        frame_skip=4,
        control_cost=0.001,
        observation=PLANAR,
        healthy=standing(0.7, np.inf, [-0.2, 0.2], 100.0),
    ),
    Case(
        id="Ant-v5",
        robot="ant",
        objective=Direction(),
        task=[1.0],
        frame_skip=5,
        control_cost=0.5,
        observation=["positions", "velocities"],
        healthy=standing(0.2, 1.0),
        theirs=NO_CONTACT,
    ),
    Case(
        id="Humanoid-v5",
        robot="humanoid",
        objective=Heading(weight=1.25),
        task=[1.0, 0.0],
        frame_skip=5,
        control_cost=0.1,
        observation=["positions", "velocities", *INSIDE],
        velocity="center_of_mass_mean",
        healthy=standing(1.0, 2.0, bonus=5.0),
        theirs=NO_CONTACT,
    ),
]


def begin_together(ours, theirs, seed=0):
    """Put gymnasium's environment in our start state, solver included."""
    ours.reset(seed=seed)
    ours.physics.batch.forward()
    theirs.reset(seed=0)
    mujoco.mj_resetData(theirs.model, theirs.data)
    theirs.set_state(ours.qpos[0].copy(), ours.qvel[0].copy())


def observed(env):
    """The observation before it is rounded to 32 bits."""
    parts = [part[0] for part in env.robots.parts]
    clipped = env.robots.clipped
    return np.concatenate(
        [np.clip(p, -10, 10) if c else p for p, c in zip(parts, clipped, strict=True)]
    )


@pytest.mark.parametrize("num_steps", [150, pytest.param(NUM_STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_steps_are_those_of_gymnasium(case, num_steps):
    ours, theirs = case.ours(), gymnasium.make(case.id, **case.theirs).unwrapped
    healthy = None if case.healthy is None else Healthy(**case.healthy)
    ours.reset(task=np.array(case.task))
    begin_together(ours, theirs)
    rng = np.random.default_rng(0)
    scale = theirs.model.actuator_ctrlrange[:, 1]
    for _ in range(num_steps):
        action = rng.uniform(-1, 1, len(scale))
        expected, _, _, _, terms = theirs.step(action * scale)
        obs, _, _, _, info = ours.step(action[None])
        np.testing.assert_allclose(observed(ours), expected, atol=1e-9, rtol=0)
        np.testing.assert_array_equal(obs[0], observed(ours).astype(np.float32))
        assert info["reward_goal"][0] == pytest.approx(terms["reward_forward"], abs=1e-9)
        assert info["reward_control"][0] == pytest.approx(terms["reward_ctrl"], abs=1e-9)
        if healthy is not None:
            bonus = healthy.bonus * ours.robots.standing(healthy)[0]
            assert bonus == pytest.approx(terms["reward_survive"], abs=1e-9)


def test_falling_ends_the_episode_without_its_bonus():
    case = CASES[1]
    ours, theirs = case.ours(healthy=case.healthy), gymnasium.make(case.id).unwrapped
    begin_together(ours, theirs)
    rng = np.random.default_rng(0)
    for _ in range(NUM_STEPS):
        action = rng.uniform(-1, 1, 6)
        _, expected, fallen, _, _ = theirs.step(action)
        _, reward, terminated, _, _ = ours.step(action[None])
        assert reward[0] == pytest.approx(expected, abs=1e-9) and terminated[0] == fallen
        if fallen:
            break
    assert fallen


@pytest.mark.parametrize(
    ("case", "cost"),
    [
        (CASES[3], {"weight": 5e-4, "force_limit": 1.0, "cost_limit": None}),
        (CASES[4], {"weight": 5e-7, "force_limit": None, "cost_limit": 10.0}),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_contact_cost_is_gymnasiums_in_the_state_after_the_step(case, cost):
    ours, theirs = case.ours(contact_cost=cost), gymnasium.make(case.id).unwrapped
    begin_together(ours, theirs)
    rng = np.random.default_rng(0)
    costs = []
    for _ in range(100):
        action = rng.uniform(-1, 1, ours.family.action_space.shape[0])
        _, _, _, _, info = ours.step(action[None])
        theirs.data.qpos[:], theirs.data.qvel[:] = ours.qpos[0], ours.qvel[0]
        theirs.data.ctrl[:] = ours.physics.ctrl[0]
        mujoco.mj_forward(theirs.model, theirs.data)
        mujoco.mj_rnePostConstraint(theirs.model, theirs.data)
        costs.append(theirs.contact_cost)
        assert info["reward_contact"][0] == pytest.approx(-costs[-1], rel=1e-3, abs=1e-6)
    assert min(costs) < max(costs)


def test_contact_cost_of_weight_zero_is_no_cost():
    none = {"weight": 0.0, "force_limit": 1.0, "cost_limit": None}
    assert "reward_contact" not in CASES[3].ours(contact_cost=none).family.info_keys


def test_contact_cost_by_hand():
    forces = np.zeros((2, 3, 6))
    forces[0, 1, 5], forces[1, :2, 0] = 0.5, 9.0
    limited = ContactCost(weight=0.1, force_limit=1.0, cost_limit=0.15)
    np.testing.assert_allclose(limited.of(forces), [0.025, 0.15])
    np.testing.assert_allclose(
        ContactCost(weight=0.1, force_limit=None, cost_limit=None).of(forces), [0.025, 16.2]
    )
