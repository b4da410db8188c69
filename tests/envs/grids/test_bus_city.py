import itertools

import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.grids.bus_city import MAP, STOPS, TERMINALS, BusCity
from metarl_cli.envs.grids.dream_grid import DOWN, DROP, END, LEFT, PICK, RIDE, RIGHT, STAY, UP

# Stop 0 (above the start) goes to (8, 1), 1 (right) to (0, 1), 2 (left) to (0, 7), 3 to (8, 7);
# decoys: 4 (up right) to (4, 8), 5 (down left) to (0, 4), 6 to (4, 0), 7 to (8, 4).
CITY = [2, 0, 1, 3, 3, 0, 1, 2]
both = pytest.mark.parametrize("name", ["bus_city", "bus_city_map"])


def make(name, num_envs=1, **settings):
    with_map = name == "bus_city_map"
    lines = dict(decoys=not with_map, city_map=with_map, train_every=1 if with_map else 11)
    numbers = dict(goal_reward=1.0, step_reward=-0.1, horizon=20) | settings
    return BusCity(**lines, **numbers).batch(num_envs)


def city(num_envs=1, name="bus_city", task=CITY, seed=0):
    env = make(name, num_envs)
    obs, _ = env.reset(seed=seed, task=task)
    return env, obs


def walk(env, *actions):
    """The grid observations of row 0 after each action."""
    return [env.step(np.full(env.num_envs, a))[0]["grid"][0].tolist() for a in actions]


def towards(place, target):
    """One step of a shortest path, first along x: `[B]`."""
    right, up = (target - place).T
    sideways = np.where(right > 0, RIGHT, LEFT)
    return np.where(right != 0, sideways, np.where(up > 0, UP, np.where(up < 0, DOWN, STAY)))


def mean_return(env, obs, policy):
    total, success = 0.0, 0.0
    for _ in range(env.family.horizon):
        obs, reward, _, _, info = env.step(policy(obs))
        total, success = total + reward, success + info["success"]
    return total.mean(), success.mean()


def test_walking_stops_at_walls_and_stops_are_seen():
    env, obs = city()
    assert obs["grid"].tolist() == [[4, 4, 0]]
    assert walk(env, UP, RIGHT, DOWN, DOWN, STAY, PICK, DROP) == [
        [4, 5, 1], [5, 5, 1], [5, 4, 1], [5, 3, 1], [5, 3, 1], [5, 3, 1], [5, 3, 1]
    ]  # fmt: skip
    assert walk(env, RIGHT, RIGHT, RIGHT, RIGHT) == [[6, 3, 0], [7, 3, 0], [8, 3, 0], [8, 3, 0]]


def test_buses_go_both_ways_and_only_from_stops():
    env, _ = city()
    assert walk(env, RIDE, UP, RIDE, RIDE) == [[4, 4, 0], [4, 5, 1], [8, 1, 1], [4, 5, 1]]
    assert walk(env, RIGHT, RIDE, LEFT, RIDE) == [[5, 5, 1], [4, 8, 1], [3, 8, 0], [3, 8, 0]]


def test_each_of_the_buses_goes_where_the_task_says_and_back():
    env, _ = city()
    for stop, terminal in enumerate(CITY):
        env.reset(seed=0)
        way = STOPS[stop] - [4, 4]
        walk(env, *[RIGHT if way[0] > 0 else LEFT] * abs(way[0]))
        walk(env, *[UP if way[1] > 0 else DOWN] * abs(way[1]))
        target = TERMINALS[terminal + (4 if stop >= 4 else 0)]
        assert walk(env, RIDE, RIDE) == [[*target, 1], [*STOPS[stop], 1]]


def test_goal_is_drawn_anew_in_each_episode_and_seen():
    env, obs = city(num_envs=400)
    corners, counts = np.unique(obs["instruction"], axis=0, return_counts=True)
    assert corners.tolist() == [[0, 0], [0, 8], [8, 0], [8, 8]] and counts.min() > 70
    again, _ = env.reset()
    assert (again["instruction"] != obs["instruction"]).any()
    np.testing.assert_array_equal(
        env.step(np.full(400, STAY))[0]["instruction"], again["instruction"]
    )


def test_reaching_the_goal_pays_and_ends_the_episode():
    env, obs = city(num_envs=50)
    env.step(np.full(50, UP)), env.step(np.full(50, RIDE))  # now at (8, 1)
    obs, reward, terminated, truncated, info = env.step(np.full(50, DOWN))
    there = (obs["instruction"] == [8, 0]).all(-1)
    assert there.any() and not there.all()
    np.testing.assert_array_equal(reward, np.where(there, 1.0, -0.1))
    np.testing.assert_array_equal(terminated, there)
    np.testing.assert_array_equal(info["success"], there)
    assert not truncated.any()


@pytest.mark.parametrize("steps_before", [0, 7, 19])
def test_ending_early_costs_all_steps_that_were_left(steps_before):
    env, _ = city()
    total = sum(env.step(np.array([STAY]))[1][0] for _ in range(steps_before))
    _, reward, terminated, truncated, info = env.step(np.array([END]))
    assert total + reward[0] == pytest.approx(-2.0)
    assert terminated[0] and not truncated[0] and info["success"][0] == 0


def test_nothing_happens_after_the_end():
    env, _ = city()
    walk(env, UP, END)
    picture = env.draw()
    walk(env, RIDE, LEFT)
    np.testing.assert_array_equal(env.draw(), picture)


def test_map_shows_the_city_and_only_there():
    env = make("bus_city_map", 24)
    obs, _ = env.reset(seed=0, task=env.family.all_tasks)
    assert (obs["grid"][:, 3] == 0).all()
    seen = [env.step(np.full(24, a))[0]["grid"] for a in (RIGHT, RIGHT, RIGHT, DOWN, DOWN)]
    assert all((grid[:, 3] == 0).all() for i, grid in enumerate(seen) if i != 3)
    assert seen[3][0, :2].tolist() == MAP.tolist()
    np.testing.assert_array_equal(seen[3][:, 3], np.arange(1, 25))


def test_a_map_city_has_no_decoys():
    env, _ = city(name="bus_city_map", task=CITY[:4])
    assert walk(env, UP, RIGHT, RIDE) == [[4, 5, 1, 0], [5, 5, 0, 0], [5, 5, 0, 0]]


def test_cities_and_their_split_are_the_published_ones():
    env = batch_of(name="bus_city", num_envs=1)
    orders = list(itertools.permutations(range(4)))
    assert [tuple(env.family.all_tasks[i]) for i in (0, 1, 24, 575)] == [
        orders[0] + orders[0], orders[1] + orders[0], orders[0] + orders[1], orders[23] + orders[23]
    ]  # fmt: skip
    assert len(np.unique(env.family.all_tasks, axis=0)) == 576 and len(env.family.test_tasks) == 523
    held_out = {tuple(task) for task in env.family.test_tasks}
    training = [i for i, task in enumerate(env.family.all_tasks) if tuple(task) not in held_out]
    assert training == list(range(0, 576, 11)) and len(training) == 53
    with_map = batch_of(name="bus_city_map", num_envs=1).family
    assert with_map.all_tasks.shape == (24, 4) and with_map.test_tasks is None


@both
def test_walking_the_whole_way_is_worth_what_the_anchor_says(name):
    env = make(name, 100)
    obs, _ = env.reset(seed=0)
    result = mean_return(env, obs, lambda obs: towards(obs["grid"][:, :2], obs["instruction"]))
    assert result == pytest.approx((env.family.anchors()["walk"][0], 1.0))
    assert result == pytest.approx((0.3, 1.0))


@both
def test_riding_with_the_task_known_is_worth_the_oracle(name):
    """To the stop of the line that ends next to the goal, by bus, and on foot to the goal."""
    num = len(make(name, 1).family.all_tasks)
    env = make(name, num)
    obs, _ = env.reset(seed=0, task=env.family.all_tasks)
    lines = TERMINALS[env.tasks[:, :4].astype(int)]  # [B, 4, 2]
    line = np.abs(lines - obs["instruction"][:, None]).sum(-1).argmin(1)
    stop = STOPS[line]

    def policy(obs):
        place = obs["grid"][:, :2]
        near = np.abs(place - obs["instruction"]).sum(-1) <= 1
        ride = (place == stop).all(-1)
        return np.where(
            ride, RIDE, towards(place, np.where(near[:, None], obs["instruction"], stop))
        )

    result = mean_return(env, obs, policy)
    assert result == pytest.approx((env.family.anchors()["oracle"][0], 1.0))
    assert result == pytest.approx((0.8, 1.0))


def test_standing_still_costs_every_step():
    env, obs = city(num_envs=3)
    result = mean_return(env, obs, lambda _: np.full(3, STAY))
    assert result == pytest.approx((env.family.anchors()["stand_still"][0], 0.0))
    assert result == pytest.approx((-2.0, 0.0))


def test_anchors_follow_the_settings():
    short = make("bus_city", 1, horizon=3, goal_reward=2.0).family
    anchors = {key: value[0] for key, value in short.anchors().items()}
    assert anchors == pytest.approx({"stand_still": -0.3, "walk": -0.3, "oracle": 1.8})
