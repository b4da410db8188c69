"""Ants, humanoid, walker and hopper: their tasks, rewards, falls, and what they see."""

import mujoco
import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.core.paths import conf_dir
from metarl_cli.envs.mujoco.center_of_mass import SpatialCenterOfMass
from metarl_cli.envs.mujoco.health import Healthy
from metarl_cli.envs.mujoco.locomotion import ResetNoise
from metarl_cli.envs.mujoco.objectives import (
    Direction,
    DiscGoal,
    Forward,
    Heading,
    Motion,
    SemicircleGoal,
    Velocity,
    mean_reward_at_rest,
)
from metarl_cli.envs.mujoco.physics import LARGEST, Physics
from metarl_cli.envs.mujoco.robots import compile_model, find_robot

ANTS = ["ant_vel", "ant_dir", "ant_dir_2d", "ant_goal", "ant_goal_ring"]
MAML_ANTS = ["ant_vel_maml", "ant_dir_maml"]


def make(name, num_envs=2, **settings):
    return batch_of(name=name, num_envs=num_envs, **settings)


def still(position):
    position = np.array(position, float)
    return Motion(position, np.zeros_like(position))


def test_forward_asks_for_the_velocity_along_x_and_has_no_task():
    motion = Motion(np.zeros((2, 2)), np.array([[0.5, 9.0], [-2.0, 0.0]]))
    objective = Forward()
    tasks = objective.tasks_from_uniform(np.zeros((2, 0)))
    assert tasks.shape == (2, 0) and objective.task_space.shape == (0,)
    np.testing.assert_array_equal(objective.reward(motion, tasks)[0], [0.5, -2.0])


def test_heading_is_a_weighted_unit_vector():
    objective = Heading(weight=2.0)
    tasks = objective.tasks_from_uniform(np.array([[0.0, 0.3], [0.25, 0.3], [0.5, 0.3]]))
    np.testing.assert_allclose(tasks, [[1, 0], [0, 1], [-1, 0]], atol=1e-15)
    motion = Motion(np.zeros((3, 2)), np.tile([3.0, 4.0], (3, 1)))
    np.testing.assert_allclose(objective.reward(motion, tasks)[0], [6.0, 8.0, -6.0])


def test_disc_goals_fill_the_area_and_cost_the_distance_along_the_axes():
    objective = DiscGoal(radius=3.0)
    tasks = objective.tasks_from_uniform(np.random.default_rng(0).random((20_000, 2)))
    radius = np.hypot(*tasks.T)
    assert radius.max() < 3.0 and (radius < 1.5).mean() == pytest.approx(0.25, abs=0.01)
    reward, report = objective.reward(still([[1.0, 1.0]]), np.array([[-1.0, 2.0]]))
    assert reward.tolist() == [-3.0] and report == {}


@pytest.mark.parametrize(
    ("distance", "dense", "sparse"),
    [
        ("euclidean", [-2.0, -np.sqrt(2), -0.5], [0.0, 0.0, 1.5]),
        ("manhattan", [-2.0, -2.0, -0.5], [0.0, 0.0, 1.5]),
    ],
)
def test_semicircle_goal_by_hand(distance, dense, sparse):
    motion, tasks = still([[0.0, 0.0], [1.0, 1.0], [0.0, 1.5]]), np.tile([0.0, 2.0], (3, 1))
    settings = {"radius": 2.0, "reach": 0.8, "distance": distance}
    reward, report = SemicircleGoal(**settings, dense=True).reward(motion, tasks)
    np.testing.assert_allclose(reward, dense)
    np.testing.assert_allclose(report["reward_sparse"], sparse)
    assert report["success"].tolist() == [0.0, 0.0, 1.0]
    reward, report = SemicircleGoal(**settings, dense=False).reward(motion, tasks)
    np.testing.assert_allclose(reward, sparse)
    np.testing.assert_allclose(report["reward_dense"], dense)


def test_sparse_reward_outside_the_goal_region_gives_nothing_away():
    objective = SemicircleGoal(radius=2.0, reach=0.8, distance="manhattan", dense=False)
    tasks = objective.tasks_from_uniform(np.linspace(0, 0.999, 50)[:, None])
    np.testing.assert_allclose(np.hypot(*tasks.T), 2.0)
    assert (tasks[:, 1] >= 0).all()
    assert not objective.reward(still(np.zeros((50, 2))), tasks)[0].any()


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Velocity(velocity_range=[0.0, 3.0], error="absolute"), -1.5),
        (Velocity(velocity_range=[0.0, 3.0], error="squared"), -3.0),
        (Direction(), 0.0),
        (Forward(), 0.0),
        (Heading(weight=1.25), 0.0),
        (DiscGoal(radius=3.0), -8.0 / np.pi),
        (SemicircleGoal(radius=2.0, reach=0.8, distance="euclidean", dense=True), -2.0),
        (SemicircleGoal(radius=2.0, reach=0.8, distance="manhattan", dense=True), -8.0 / np.pi),
        (SemicircleGoal(radius=2.0, reach=0.8, distance="manhattan", dense=False), 0.0),
    ],
)
def test_mean_reward_at_rest_is_the_integral_over_tasks(objective, expected):
    assert mean_reward_at_rest(objective, axes=2) == pytest.approx(expected, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "settings", "num_steps"),
    [
        ("cheetah_vel", {}, 200),
        ("ant_vel_maml", {}, 200),
        ("ant_goal_ring", {"objective.dense": True}, 1),  # later, what is left of a push moves it
    ],
)
def test_without_actions_robots_get_nearly_what_rest_is_worth(name, settings, num_steps):
    env = make(name, num_envs=10, **settings)
    uniform = np.tile((np.arange(10)[:, None] + 0.5) / 10, (1, env.tasks.shape[1]))
    env.reset(seed=0, task=env.family.tasks_from_uniform(uniform))
    idle = np.zeros((10, env.family.action_space.shape[0]))
    per_step = np.mean([env.step(idle)[1] for _ in range(num_steps)])
    assert env.family.horizon * per_step == pytest.approx(
        env.family.anchors()["at_rest"][0], rel=0.05
    )


def test_health_by_hand():
    healthy = Healthy(height_range=[0.8, 2.0], pitch_range=[-1, 1], state_limit=100, bonus=1.0)
    height = np.array([1.0, 0.7, 1.0, 1.0, 1.0, np.nan])
    others = np.array([[0, 0], [0, 0], [1.5, 0], [0, 101], [0, 0], [0, 0]], float)
    rates = np.array([[0, 0], [0, 0], [0, 0], [0, 0], [0, -101], [0, 0]], float)
    assert healthy.judge(height, others, rates).tolist() == [True] + [False] * 5


def test_ant_that_is_too_high_has_ended_its_episode():
    env = make("ant_dir")
    env.reset(seed=0)
    env.qpos[1, 2] = 1.5
    _, reward, terminated, truncated, info = env.step(np.zeros((2, 8)))
    assert terminated.tolist() == [False, True] and not truncated.any()
    assert info["reward_healthy"].tolist() == [1.0, 0.0]
    assert reward[1] == pytest.approx(info["reward_goal"][1])


def test_ant_goal_goes_on_after_a_fall():
    env = make("ant_goal")
    env.reset(seed=0)
    env.qpos[1, 2] = 1.5
    assert not env.step(np.zeros((2, 8)))[2].any()


@pytest.mark.parametrize("name", MAML_ANTS)
def test_rllab_ant_starts_crouched_and_sees_its_rotation_and_center_of_mass(name):
    env = make(name, num_envs=3)
    obs, _ = env.reset(seed=0, task=env.family.task_space.high)
    crouched = [0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1]
    np.testing.assert_allclose(env.qpos, np.tile(crouched, (3, 1)), atol=0.05)
    model = compile_model(find_robot("ant_maml"))
    assert model.opt.timestep == 0.02 and env.family.frame_skip == 1
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1, 1, (3, 8))
        obs, reward, terminated, _, info = env.step(action)
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = env.qpos[2], env.qvel[2]
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        parts = [data.qpos, data.qvel, data.xmat[1], data.subtree_com[1]]
        np.testing.assert_allclose(obs[2], np.concatenate(parts), rtol=1e-6, atol=1e-6)
        speed = data.subtree_linvel[1, 0]
        assert info["velocity"][2] == pytest.approx(speed, abs=1e-12)
        goal, bonus = (-abs(speed - 3.0), 1.05) if name == "ant_vel_maml" else (speed, 0.05)
        cost = 0.005 * np.square(action[2]).sum()
        assert not terminated[2] and reward[2] == pytest.approx(goal + bonus - cost, abs=1e-9)


def test_center_of_mass_has_the_same_bits_at_any_batch_size():
    rng = np.random.default_rng(0)
    many, one = (Physics(compile_model(find_robot("ant_maml")), num) for num in (37, 1))
    batch, single = SpatialCenterOfMass(many), SpatialCenterOfMass(one)
    many.qpos[:], many.qvel[:] = rng.normal(size=(37, 15)), rng.normal(size=(37, 14))
    batch.refresh()
    for row in (0, 20, 36):
        one.qpos[0], one.qvel[0] = many.qpos[row], many.qvel[row]
        single.refresh()
        for name in ("position", "velocity", "rotation"):
            np.testing.assert_array_equal(getattr(single, name)[0], getattr(batch, name)[row])


def test_torques_of_the_rllab_ant_reach_150_newton_metres():
    model = compile_model(find_robot("ant_maml"))
    np.testing.assert_array_equal(model.actuator_gear[:, 0] * model.actuator_ctrlrange[:, 1], 150)
    np.testing.assert_array_equal(model.geom_solimp[:, :3], np.tile([0.8, 0.8, 0.01], (14, 1)))
    weak = compile_model(find_robot("ant_low_gear"))
    np.testing.assert_array_equal(weak.actuator_gear[:, 0], 30)


def test_walkers_with_random_dynamics_have_a_coarse_timestep_and_unequal_feet():
    for name in ("walker2d_params", "hopper_params"):
        assert compile_model(find_robot(name)).opt.timestep == 0.004
    walker = compile_model(find_robot("walker2d_params"))
    assert walker.geom("foot_geom").friction[0] == 0.9
    assert walker.geom("foot_left_geom").friction[0] == 1.9


def test_humanoid_actions_stand_for_its_whole_range_of_controls():
    env = make("humanoid_dir")
    env.reset(seed=0)
    assert env.family.action_space.high.tolist() == [1.0] * 17
    *_, info = env.step(np.full((2, 17), 9.0))
    np.testing.assert_allclose(env.physics.ctrl, 0.4)
    np.testing.assert_allclose(info["reward_control"], -0.1 * 17 * 0.4**2)


@pytest.mark.parametrize(("name", "bound"), [("humanoid_dir", 0.01), ("ant_vel", 0.1)])
def test_reset_noise_of_positions_is_bounded(name, bound):
    env = make(name, num_envs=500)
    env.reset(seed=0)
    offset = np.abs(env.qpos - env.family.robot.start_pose)
    assert 0.98 * bound < offset.max() <= bound
    if name == "humanoid_dir":
        assert 0.98 * bound < np.abs(env.qvel).max() <= bound


def test_reset_noise_of_velocities_is_normal_or_uniform_but_not_both():
    with pytest.raises(ValueError, match="got both velocity_std and velocity_bound"):
        ResetNoise(position="normal", position_scale=0.1, velocity_std=1.0, velocity_bound=1.0)


def test_observation_shows_the_place_only_where_the_task_needs_it():
    sizes = {"ant_dir": 27, "ant_goal": 29, "ant_dir_maml": 41, "humanoid_dir": 270}
    for name, size in sizes.items():
        assert make(name).family.observation_space.shape == (size,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"healthy.height_range": [1.0, 0.2]}, "height_range: got [1.0, 0.2], expected"),
        ({"healthy.bonus": -1.0}, "bonus: got -1.0, expected a number >= 0"),
        ({"contact_cost.weight": -1.0}, "weight: got -1.0, expected a number >= 0"),
        ({"contact_cost.force_limit": 0.0}, "force_limit: got 0.0, expected a number > 0"),
        ({"robot": "humanoid", "velocity": "center_of_mass"}, "this robot is not a tree of hinges"),
    ],
)
def test_arguments_out_of_range_are_named(settings, message):
    with pytest.raises(Exception) as error:
        make("ant_vel", **settings)
    assert message in str(error.value) and "\n" not in str(error.value)


# Stability of everything that MuJoCo simulates: a new YAML is tested by being there.


MUJOCO_NAMES = [
    path.stem
    for path in sorted((conf_dir() / "env").glob("*.yaml"))
    if any(word in path.read_text() for word in ("/robot/", "envs.mujoco", "envs.block_push"))
]


def run_with_random_actions(env, num_steps):
    """Whole-range random actions; rows begin again when their episode ends."""
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    low, high = env.family.action_space.low, env.family.action_space.high
    unstable = 0
    for _ in range(num_steps):
        actions = rng.uniform(low, high, (env.num_envs, len(low)))
        obs, reward, terminated, truncated, info = env.step(actions)
        assert np.isfinite(obs).all() and np.isfinite(reward).all()
        assert all(np.isfinite(values).all() for values in info.values())
        unstable += info["unstable"].sum()
        ended = terminated | truncated
        if ended.any():
            env.reset(mask=ended)
    return unstable


@pytest.mark.parametrize("name", MUJOCO_NAMES)
def test_random_actions_break_nothing(name):
    assert run_with_random_actions(make(name, num_envs=4), 30) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MUJOCO_NAMES)
def test_hundred_thousand_random_steps_break_nothing(name):
    assert run_with_random_actions(make(name, num_envs=100), 1000) == 0


@pytest.mark.parametrize(
    ("name", "speed"),
    [(name, 2 * LARGEST) for name in MUJOCO_NAMES]
    + [(name, 1e8) for name in ("ant_vel", "ant_vel_maml", "humanoid_dir")],
)
def test_injected_blow_up_is_caught_counted_and_truncated(
    name, speed, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    env = make(name, num_envs=3)
    before, _ = env.reset(seed=0)
    env.physics.qvel[1] = speed
    idle = np.zeros((3, env.family.action_space.shape[0]))
    obs, reward, terminated, truncated, info = env.step(idle)
    assert info["unstable"].tolist() == [False, True, False]
    assert truncated.tolist() == [False, True, False] and not terminated[1]
    np.testing.assert_array_equal(obs[1], before[1])
    assert all(values[1] == 0.0 for key, values in info.items() if key != "unstable")
    assert reward[1] == 0.0 and np.isfinite(obs).all()
    *_, info = env.step(idle)
    assert not info["unstable"].any()
    env.reset(mask=np.array([False, True, False]))
    _, reward, _, _, info = env.step(idle)
    assert not info["unstable"].any()
    assert not list(tmp_path.iterdir()), "MuJoCo wrote its log file"
    assert capfd.readouterr().err == ""


def test_every_robot_environment_is_covered():
    assert {*ANTS, *MAML_ANTS, "humanoid_dir", "cheetah_vel"} <= set(MUJOCO_NAMES)
