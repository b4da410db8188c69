import numpy as np
import pytest

from metarl_cli.envs.point import PointNav


def point(num_envs=1, horizon=100, goal_range=(-0.5, 0.5)):
    return PointNav(
        goal_range=goal_range,
        max_step=0.1,
        reach_tolerance=0.01,
        horizon=horizon,
        num_envs=num_envs,
    )


def test_reward_is_minus_the_distance_of_the_new_position():
    env = point()
    obs, _ = env.reset(seed=0, options={"task": [0.4, 0.3]})
    np.testing.assert_array_equal(obs, [[0.0, 0.0]])
    obs, reward, *_ = env.step(np.zeros((1, 2)))
    assert reward[0] == pytest.approx(-0.5)
    obs, reward, *_ = env.step(np.array([[1.0, -0.5]]))
    np.testing.assert_allclose(obs, [[0.1, -0.05]], rtol=1e-6)
    assert reward[0] == pytest.approx(-np.hypot(0.3, 0.35))


def test_moves_are_clipped():
    env = point()
    env.reset(seed=0, options={"task": [0.4, 0.3]})
    obs, *_ = env.step(np.array([[5.0, -5.0]]))
    np.testing.assert_allclose(obs, [[0.1, -0.1]], rtol=1e-6)


def test_episode_ends_with_success_at_the_goal_and_then_stands_still():
    env = point(num_envs=2)
    env.reset(seed=0, options={"task": np.array([[0.1, 0.005], [0.1, 0.1]])})
    obs, reward, terminated, truncated, info = env.step(np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert terminated.tolist() == [True, False] and not truncated.any()
    assert info["success"].tolist() == [1.0, 0.0]
    assert reward[0] == pytest.approx(-0.005)
    held, reward, terminated, _, info = env.step(np.full((2, 2), 0.5))
    np.testing.assert_array_equal(held[0], obs[0])
    assert reward[0] == 0.0 and not terminated[0] and info["success"][0] == 0.0
    assert reward[1] == pytest.approx(-np.hypot(0.05, 0.05))


def test_walking_straight_to_the_corner_takes_five_steps():
    env = point()
    env.reset(seed=0, options={"task": [0.5, 0.5]})
    ends = [env.step(np.full((1, 2), 1.0))[2][0] for _ in range(5)]
    assert ends == [False] * 4 + [True]


def test_standing_still_scores_what_maml_starts_from():
    env = point(num_envs=4000)
    env.reset(seed=0)
    total = sum(env.step(np.zeros((4000, 2)))[1] for _ in range(100))
    # mean distance from the centre of a unit square = 0.3826, times 100 steps
    assert total.mean() == pytest.approx(-38.26, abs=0.7)


def test_goals_fill_their_range():
    tasks = point(goal_range=(1.0, 3.0)).sample_tasks(1000, np.random.default_rng(0))
    assert tasks.shape == (1000, 2) and tasks.dtype == np.float64
    assert 1.0 <= tasks.min() < 1.02 and 2.98 < tasks.max() < 3.0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"goal_range": (0.5, -0.5)}, "goal_range: got [0.5, -0.5], expected"),
        ({"horizon": 0}, "horizon: got 0, expected a number > 0"),
        ({"num_envs": -1}, "num_envs: got -1, expected a number > 0"),
    ],
)
def test_arguments_out_of_range_are_named(bad, message):
    with pytest.raises(ValueError) as error:
        point(**bad)
    assert message in str(error.value)
