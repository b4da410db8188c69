import gymnasium
import mujoco
import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.mujoco.objectives import Direction, Motion, Velocity
from metarl_cli.envs.mujoco.robots import compile_model, find_robot


def cheetah(name="cheetah_vel", num_envs=2, **settings):
    return batch_of(name=name, num_envs=num_envs, **settings)


def set_state(env, row, qpos, qvel):
    """Put a row where a test wants it."""
    env.qpos[row], env.qvel[row] = qpos, qvel


def test_physics_is_gymnasiums_half_cheetah():
    ours = cheetah("cheetah_dir", num_envs=1)
    theirs = gymnasium.make("HalfCheetah-v5").unwrapped
    theirs.reset(seed=0)
    ours.reset(seed=0, task=[1.0])
    set_state(ours, 0, theirs.data.qpos, theirs.data.qvel)
    rng = np.random.default_rng(0)
    for _ in range(200):
        action = rng.uniform(-1, 1, 6)
        expected, *_, terms = theirs.step(action)
        obs, reward, *_, info = ours.step(action[None])
        positions_velocities = np.concatenate([ours.qpos[0, 1:], ours.qvel[0]])
        np.testing.assert_allclose(positions_velocities, expected, atol=1e-9, rtol=0)
        np.testing.assert_array_equal(obs[0], positions_velocities.astype(np.float32))
        assert info["reward_goal"][0] == pytest.approx(terms["reward_forward"], abs=1e-9)
        # gymnasium charges twice MAML's 0.05
        assert info["reward_control"][0] == pytest.approx(terms["reward_ctrl"] / 2, abs=1e-9)
        assert reward[0] == pytest.approx(info["reward_goal"][0] + info["reward_control"][0])


def test_center_of_mass_is_that_of_the_state_after_the_step():
    env = cheetah("cheetah_vel_maml", num_envs=1)
    env.reset(seed=3, task=[1.0])
    model = compile_model(find_robot("half_cheetah"))
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = env.qpos[0], env.qvel[0]
    rng = np.random.default_rng(1)
    for _ in range(50):
        action = rng.uniform(-1, 1, 6)
        obs, reward, *_, info = env.step(action[None])
        data.ctrl[:] = action
        mujoco.mj_step(model, data)
        probe = mujoco.MjData(model)
        probe.qpos[:], probe.qvel[:] = data.qpos, data.qvel
        mujoco.mj_forward(model, probe)
        mujoco.mj_subtreeVel(model, probe)
        np.testing.assert_array_equal(env.qpos[0], data.qpos)
        np.testing.assert_allclose(obs[0, -3:], probe.subtree_com[1], atol=1e-6)
        speed = probe.subtree_linvel[1, 0]
        assert info["velocity"][0] == pytest.approx(speed, abs=1e-12)
        expected = -abs(speed - 1.0) - 0.05 * np.square(action).sum()
        assert reward[0] == pytest.approx(expected, abs=1e-12)


def test_center_of_mass_is_current_after_reset():
    env = cheetah("cheetah_vel_maml")
    obs, _ = env.reset(seed=0)
    model = compile_model(find_robot("half_cheetah"))
    data = mujoco.MjData(model)
    data.qpos[:] = env.qpos[1]
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(obs[1, -3:], data.subtree_com[1], atol=1e-6)


@pytest.mark.parametrize("name", ["cheetah_vel", "cheetah_vel_maml"])
def test_simulation_that_blew_up_is_reported_and_held(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    env = cheetah(name, num_envs=3)
    before, _ = env.reset(seed=0)
    env.qvel[1] = 1e8
    obs, reward, terminated, truncated, info = env.step(np.zeros((3, 6)))
    assert info["unstable"].tolist() == [False, True, False]
    assert truncated.tolist() == [False, True, False] and not terminated.any()
    np.testing.assert_array_equal(obs[1], before[1])
    assert reward[1] == 0.0 and info["velocity"][1] == 0.0 and reward[0] != 0.0
    obs, reward, _, truncated, info = env.step(np.zeros((3, 6)))
    np.testing.assert_array_equal(obs[1], before[1])
    assert reward[1] == 0.0 and not truncated[1] and not info["unstable"].any()
    env.reset(mask=np.array([False, True, False]))
    _, reward, _, _, info = env.step(np.zeros((3, 6)))
    assert reward[1] != 0.0 and not info["unstable"].any()
    assert not list(tmp_path.iterdir()), "MuJoCo wrote its log file"
    assert capfd.readouterr().err == ""


def test_cost_is_charged_on_the_clipped_action():
    env = cheetah()
    env.reset(seed=0)
    *_, info = env.step(np.full((2, 6), 9.0))
    np.testing.assert_allclose(info["reward_control"], -0.05 * 6)


@pytest.mark.parametrize("name", ["cheetah_vel", "cheetah_vel_maml"])
def test_reset_noise_has_the_documented_size(name):
    env = cheetah(name, num_envs=2000)
    env.reset(seed=0)
    if name == "cheetah_vel":
        assert 0.099 < np.abs(env.qpos).max() < 0.1
    else:
        assert env.qpos.std() == pytest.approx(0.01, rel=0.02)
    assert env.qvel.std() == pytest.approx(0.1, rel=0.02)


def test_objectives_by_hand():
    velocity, target = np.array([[0.5], [2.0]]), np.array([[1.5], [1.5]])
    motion = Motion(position=np.zeros((2, 1)), velocity=velocity)
    absolute = Velocity(velocity_range=[0.0, 2.0], error="absolute")
    squared = Velocity(velocity_range=[0.0, 2.0], error="squared")
    np.testing.assert_allclose(absolute.reward(motion, target)[0], [-1.0, -0.5])
    np.testing.assert_allclose(squared.reward(motion, target)[0], [-1.0, -0.25])
    direction = Direction()
    np.testing.assert_allclose(direction.reward(motion, direction.all_tasks)[0], [-0.5, 2.0])
    assert direction.tasks_from_uniform(np.array([[0.2], [0.7]])).tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_skip": 0}, "frame_skip: got 0, expected a number > 0"),
        ({"robot": "dog"}, "robot: got 'dog', expected one of ['ant', "),
        ({"velocity": "head"}, "velocity: got 'head', expected one of ['root'"),
        ({"observation": ["smell"]}, "observation: got ['smell'], expected some of"),
        ({"control_cost": -1.0}, "control_cost: got -1.0, expected a number >= 0"),
        (
            {"objective.error": "cubic"},
            "error: got 'cubic', expected one of ['absolute', 'squared']",
        ),
        ({"objective.velocity_range": [2.0, 0.0]}, "velocity_range: got [2.0, 0.0], expected"),
        ({"reset_noise.position": "none"}, "reset_noise.position: got 'none', expected"),
    ],
)
def test_arguments_out_of_range_are_named(settings, message):
    with pytest.raises(Exception) as error:
        cheetah(**settings)
    assert message in str(error.value) and "\n" not in str(error.value)
