import numpy as np
import pytest

from metarl_cli.envs.points.point import PointNav, PointSemicircle


def point(num_envs=1, horizon=100, goal_range=(-0.5, 0.5)):
    return PointNav(
        goal_range=goal_range,
        max_step=0.1,
        reach_tolerance=0.01,
        horizon=horizon,
    ).batch(num_envs)


def semicircle(num_envs=1, horizon=100, dense=False, goal_radius=0.2):
    return PointSemicircle(
        circle_radius=1.0,
        goal_radius=goal_radius,
        max_step=0.1,
        dense=dense,
        horizon=horizon,
    ).batch(num_envs)


def mean_return_of_walking_straight(env, goals):
    """Mean over the batch of the return of an agent that knows its goal."""
    position, _ = env.reset(seed=0)
    total = 0.0
    for _ in range(env.family.horizon):
        position, reward, *_ = env.step((goals(env.tasks) - position) / 0.1)
        total += reward.mean()
    return total


def on_the_circle(tasks):
    return np.concatenate([np.cos(tasks), np.sin(tasks)], axis=1)


def test_reward_is_minus_the_distance_of_the_new_position():
    env = point()
    obs, _ = env.reset(seed=0, task=[0.4, 0.3])
    np.testing.assert_array_equal(obs, [[0.0, 0.0]])
    obs, reward, *_ = env.step(np.zeros((1, 2)))
    assert reward[0] == pytest.approx(-0.5)
    obs, reward, *_ = env.step(np.array([[1.0, -0.5]]))
    np.testing.assert_allclose(obs, [[0.1, -0.05]], rtol=1e-6)
    assert reward[0] == pytest.approx(-np.hypot(0.3, 0.35))


def test_moves_are_clipped():
    env = point()
    env.reset(seed=0, task=[0.4, 0.3])
    obs, *_ = env.step(np.array([[5.0, -5.0]]))
    np.testing.assert_allclose(obs, [[0.1, -0.1]], rtol=1e-6)


def test_episode_ends_with_success_at_the_goal_and_then_stands_still():
    env = point(num_envs=2)
    env.reset(seed=0, task=np.array([[0.1, 0.005], [0.1, 0.1]]))
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
    env.reset(seed=0, task=[0.5, 0.5])
    ends = [env.step(np.full((1, 2), 1.0))[2][0] for _ in range(5)]
    assert ends == [False] * 4 + [True]


def test_standing_still_scores_what_maml_starts_from():
    env = point(num_envs=4000)
    env.reset(seed=0)
    total = sum(env.step(np.zeros((4000, 2)))[1] for _ in range(100))
    # mean distance from the centre of a unit square = 0.3826, times 100 steps
    assert total.mean() == pytest.approx(-38.26, abs=0.7)
    assert env.family.anchors()["stand_still"][0] == pytest.approx(-38.2595, abs=1e-3)
    (aside,) = point(goal_range=(1.0, 1.0 + 1e-6), horizon=3).family.anchors()["stand_still"]
    assert aside == pytest.approx(-3 * np.sqrt(2.0), abs=1e-5)


def test_walking_straight_to_the_goal_scores_what_the_anchor_says():
    env = point(num_envs=20_000, horizon=10)
    walked = mean_return_of_walking_straight(env, lambda tasks: tasks)
    assert env.family.anchors()["oracle"][0] == pytest.approx(-0.506, abs=1e-3)
    assert walked == pytest.approx(-0.506, abs=0.01)


def test_goals_fill_their_range():
    tasks = point(goal_range=(1.0, 3.0)).family.sample_tasks(1000, np.random.default_rng(0))
    assert tasks.shape == (1000, 2) and tasks.dtype == np.float64
    assert 1.0 <= tasks.min() < 1.02 and 2.98 < tasks.max() < 3.0


def test_only_the_region_around_the_goal_on_the_semicircle_pays():
    env = semicircle(num_envs=2)
    env.reset(seed=0, task=np.array([[0.0], [np.pi / 2]]))  # goals (1, 0) and (0, 1)
    env.step(np.array([[0.5, 0.0], [0.5, 0.0]]))
    for distance in (0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15, 0.05, 0.05, 0.15, 0.25):
        _, reward, terminated, _, info = env.step(np.array([[1.0, 0.0], [1.0, 0.0]]))
        inside = distance < 0.2
        assert reward.tolist() == pytest.approx([1.0 - distance if inside else 0.0, 0.0])
        assert info["success"].tolist() == [float(inside), 0.0]
        assert info["reward_dense"][0] == pytest.approx(-distance)
        assert info["reward_dense"][1] < -1.0 and not terminated.any()


def test_dense_reward_is_the_other_one():
    sparse, dense = semicircle(num_envs=50), semicircle(num_envs=50, dense=True)
    sparse.reset(seed=0), dense.reset(seed=0)
    for _ in range(12):
        actions = (on_the_circle(sparse.tasks) - sparse.position) / 0.1
        ours, theirs = sparse.step(actions), dense.step(actions)
        np.testing.assert_array_equal(ours[1], theirs[4]["reward_sparse"])
        np.testing.assert_array_equal(ours[4]["reward_dense"], theirs[1])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"horizon": 20}, 13.382),
        ({"horizon": 100}, 93.382),
        ({"horizon": 20, "dense": True}, -3.841),
    ],
)
def test_walking_straight_to_the_semicircle_scores_what_the_anchor_says(settings, expected):
    env = semicircle(num_envs=20_000, **settings)
    assert env.family.anchors()["oracle"][0] == pytest.approx(expected, abs=1e-3)
    assert mean_return_of_walking_straight(env, on_the_circle) == pytest.approx(expected, abs=0.02)
    still = {False: 0.0, True: -float(env.family.horizon)}[settings.get("dense", False)]
    assert env.family.anchors()["stand_still"][0] == pytest.approx(still)


def test_goals_lie_on_the_upper_half_of_the_circle():
    angles = semicircle().family.sample_tasks(1000, np.random.default_rng(0))
    assert angles.shape == (1000, 1)
    assert 0.0 <= angles.min() < 0.02 and np.pi - 0.02 < angles.max() < np.pi


def test_region_that_would_punish_is_refused():
    with pytest.raises(ValueError, match=r"goal_radius: got 1\.5"):
        semicircle(goal_radius=1.5)


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


def test_pictures_show_the_way_of_a_point_until_its_episode_ends():
    env = point(num_envs=2)
    env.reset(seed=0)
    start = is_pale_blue(env.draw(0)).sum()
    for action in ([1.0, 0.0], [0.0, 1.0]):
        env.step(np.array([action, action]))
        picture = env.draw(0)
    assert is_pale_blue(picture).sum() > start + 20
    assert is_pale_blue(env.draw(1)).sum() > 20  # straight from the origin, where it was not drawn
    env.reset(seed=0, mask=np.array([True, False]))
    assert is_pale_blue(env.draw(0)).sum() == start
    assert is_pale_blue(env.draw(1)).sum() > 20


def is_pale_blue(picture):
    return (np.abs(picture.astype(int) - (130, 160, 220)) < 8).all(-1)
