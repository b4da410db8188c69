import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.base.drawing import GREEN
from metarl_cli.envs.mujoco.robots import compile_model, find_robot

AS_MAESN = {
    "frame_skip": 1,
    "reset_noise.position_scale": 0.0,
    "reset_noise.velocity_std": 0.0,
}


def carts(num_envs=1, **settings):
    return batch_of(name="wheeled_goal", num_envs=num_envs, **AS_MAESN | settings)


def drive(env, actions, num_steps):
    """Keep actions `[B, 2]`; return all rewards `[T, B]` and the last info."""
    rewards = []
    for _ in range(num_steps):
        _, reward, _, _, info = env.step(actions)
        rewards.append(reward)
    return np.array(rewards), info


def test_masses_are_maesns_without_the_goal_marker():
    model = compile_model(find_robot("wheeled"))
    np.testing.assert_allclose(model.body_mass, [0, 4.99, 2.61, 2.61])
    assert model.body_mass.sum() + 3.79 == pytest.approx(14.0)


def test_torques_move_and_turn_the_cart_as_in_the_original():
    torques = np.array([[0.5, 0.5], [1.0, 1.0], [2.0, 2.0], [1.0, -1.0], [-1.0, 1.0]])  # N m
    env = carts(num_envs=5)
    env.reset(seed=0)
    drive(env, torques / 2, 200)
    np.testing.assert_allclose(env.qpos[:3, 0], [1.58, 3.15, 6.25], atol=0.01)
    np.testing.assert_allclose(env.qpos[3:, 3], [14.07, -14.07], atol=0.01)
    np.testing.assert_allclose(env.qpos[3:, :2], 0, atol=1e-6)


def test_cart_at_rest_stays_and_earns_nothing():
    env = carts(num_envs=2)
    env.reset(seed=0)
    rewards, info = drive(env, np.zeros((2, 2)), 200)
    assert (rewards == 0).all() and (info["success"] == 0).all()
    np.testing.assert_allclose(env.qpos[:, :2], 0, atol=1e-9)
    assert env.family.anchors()["at_rest"] == (0.0,)
    np.testing.assert_allclose(info["reward_dense"], -2.0)


def test_dense_reward_at_rest_is_the_anchor():
    env = carts(num_envs=3, **{"objective.dense": True})
    env.reset(seed=0)
    rewards, _ = drive(env, np.zeros((3, 2)), 200)
    np.testing.assert_allclose(rewards.sum(0), env.family.anchors()["at_rest"][0])
    assert env.family.anchors()["at_rest"] == pytest.approx((-400.0,))


def test_driving_to_the_goal_is_paid_inside_its_region_only():
    env = carts(num_envs=2)
    env.reset(seed=0, task=np.array([[2.0, 0.0], [-2.0, 0.0]]))
    rewards, info = drive(env, np.full((2, 2), 0.3), 200)  # 0.6 N m: 1.9 m along x
    cost = 0.05 * 2 * 0.6**2
    assert info["success"].tolist() == [1.0, 0.0]
    np.testing.assert_allclose(rewards[:, 1], -cost)  # the wrong way
    np.testing.assert_allclose(rewards[:100, 0], -cost)
    distance = np.hypot(*(env.qpos[0, :2] - [2.0, 0.0]))
    assert rewards[-1, 0] == pytest.approx(2.0 - distance - cost)
    assert (np.diff(rewards[:, 0]) >= -1e-9).all()


def test_goals_lie_on_the_upper_semicircle():
    goals = carts().family.sample_tasks(500, np.random.default_rng(0))
    np.testing.assert_allclose(np.hypot(*goals.T), 2.0)
    assert goals[:, 1].min() >= 0 and goals[:, 0].min() < -1.9 and goals[:, 0].max() > 1.9


def test_picture_shows_cart_and_goal(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")
    env = carts(num_envs=2)
    env.reset(seed=0, task=np.array([[2.0, 0.0], [-2.0, 0.0]]))
    right, left = (np.nonzero((frame == GREEN).all(-1))[1] for frame in (env.draw(0), env.draw(1)))
    assert len(right) > 500 and right.mean() > 160 > left.mean()
