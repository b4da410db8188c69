import itertools

import numpy as np
import pytest
from helpers import batch_of

from metarl_cli.envs.base.hidden_goal import Moves, posterior
from metarl_cli.envs.grids.gridworld import GridNavigation
from metarl_cli.envs.grids.gridworld_bayes import CellGoals, perfect_plan

STAY, UP, RIGHT, DOWN, LEFT = range(5)
PUBLISHED = {  # oracle; Bayes-optimal in the first episode and later
    "gridnavi": (11.07, (4.00, 11.07)),
    "nav2d": (30.35, (21.0, 30.35)),
}
both = pytest.mark.parametrize("name", PUBLISHED)


def grid(num_envs=1, **settings):
    defaults = dict(size=3, start=(0, 0), goals="away_from_start", goal_reward=1.0, step_reward=0.0)
    return GridNavigation(**(defaults | dict(horizon=6) | settings)).batch(num_envs)


def towards(obs, target):
    """One step of a shortest path, first along x: `[B]`."""
    right, up = (np.asarray(target) - obs).astype(int).T
    sideways = np.where(right > 0, RIGHT, LEFT)
    return np.where(right != 0, sideways, np.where(up > 0, UP, np.where(up < 0, DOWN, STAY)))


def returns(env, policy):
    """Mean return of an episode of `policy(obs, reward) -> actions`, which sees the end as well."""
    obs, _ = env.reset()
    total, actions = 0.0, policy(obs, np.full(env.num_envs, -np.inf))
    for _ in range(env.family.horizon):
        obs, reward, *_ = env.step(actions)
        actions = policy(obs, reward)
        total += reward.mean()
    return total


def all_goals(name):
    """One environment per goal."""
    env = batch_of(name=name, num_envs={"gridnavi": 21, "nav2d": 31}[name])
    env.reset(seed=0, task=env.family.all_tasks)
    return env


def test_actions_move_by_one_cell_and_walls_stop_them():
    env = grid()
    obs, _ = env.reset(seed=0)
    assert obs.tolist() == [[0, 0]]
    path = [env.step(np.array([a]))[0][0].tolist() for a in (UP, RIGHT, RIGHT, RIGHT, DOWN, DOWN)]
    assert path == [[0, 1], [1, 1], [2, 1], [2, 1], [2, 0], [2, 0]]
    env.reset(seed=0)
    path = [env.step(np.array([a]))[0][0].tolist() for a in (LEFT, STAY, UP, UP, UP, LEFT)]
    assert path == [[0, 0], [0, 0], [0, 1], [0, 2], [0, 2], [0, 2]]


def test_each_step_on_the_goal_pays_and_the_episode_goes_on():
    env = grid(step_reward=-0.1, horizon=5)
    env.reset(seed=0, task=[2, 0])
    steps = [env.step(np.array([a])) for a in (RIGHT, RIGHT, STAY, LEFT, RIGHT)]
    assert [s[1][0] for s in steps] == [-0.1, 1.0, 1.0, -0.1, 1.0]
    assert [s[4]["success"][0] for s in steps] == [0, 1, 1, 0, 1]
    assert not any(s[2][0] for s in steps) and [s[3][0] for s in steps] == [False] * 4 + [True]


def test_goals_are_the_published_ones():
    nav2d, gridnavi = all_goals("nav2d"), all_goals("gridnavi")
    inside = {(x, y) for x in range(1, 10) for y in range(10)}
    everything = set(itertools.product(range(11), repeat=2))
    assert {tuple(task) for task in nav2d.tasks} == everything - inside
    everything = set(itertools.product(range(5), repeat=2))
    near = {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {tuple(task) for task in gridnavi.tasks} == everything - near
    drawn = nav2d.family.sample_tasks(3100, np.random.default_rng(0))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 31 and counts.min() > 60


@both
def test_walking_to_the_known_goal_gives_the_oracle(name):
    env = all_goals(name)
    mean = returns(env, lambda obs, _: towards(obs, env.tasks))
    assert mean == pytest.approx(env.family.anchors()["oracle"][0])
    assert mean == pytest.approx(PUBLISHED[name][0], abs=0.005)


@both
def test_following_the_plan_gives_the_bayes_optimal_returns(name):
    """The policy sees positions and rewards only, and remembers them from episode to episode."""
    env = all_goals(name)
    goals = env.family.all_tasks.astype(int)
    plan = perfect_plan(goals, env.reset()[0][0].astype(int), env.family.horizon)
    known = np.full(goals.shape, -1)  # the goal, once found
    tried = np.zeros((env.num_envs, len(goals)), bool)
    left_over = sorted(set(range(len(goals))) - set(plan), key=lambda g: goals[g].sum())
    order = np.array(plan + left_over)

    def policy(obs, reward):
        found = reward == 1.0
        known[found] = obs[found]
        tried[(obs[:, None] == goals).all(-1)] = True
        following = order[np.argmin(tried[:, order], axis=1)]
        return towards(obs, np.where(known >= 0, known, goals[following]))

    measured = [returns(env, policy) for _ in range(3)]
    first_episode, later = env.family.anchors()["bayes_optimal"]
    assert measured == pytest.approx([first_episode, later, later])
    assert measured[:2] == pytest.approx(PUBLISHED[name][1], abs=0.005)


@pytest.mark.parametrize(
    ("goals", "best"),
    [
        ("away_from_start", 3.0),  # 5 goals after 2, 3, ... steps: (5 + 4 + 3 + 2 + 1) / 5
        ("sides_and_top", 3.0),  # 7 after 1 (at the start), 2, ...: (6 + 5 + 4 + 3 + 2 + 1 + 0) / 7
    ],
)
def test_no_walk_searches_better_than_the_bayes_optimal_one(goals, best):
    env = grid(goals=goals)
    goals = env.family.all_tasks
    walks = np.array(list(itertools.product(range(5), repeat=6)))  # all of them
    search = grid(num_envs=len(walks))
    obs = [search.reset(seed=0)[0], *(search.step(actions)[0] for actions in walks.T)]
    here = (np.array(obs[1:])[:, :, None] == goals).all(-1)  # [T, walks, G]
    paid = np.logical_or.accumulate(here).sum(0).mean(-1)  # found, and stood on ever after
    assert env.family.anchors()["bayes_optimal"][0] == pytest.approx(paid.max())
    assert paid.max() == pytest.approx(best)


def test_where_no_plan_is_perfect_no_bayes_optimum_is_claimed():
    # From the centre the nearest goals lie on different sides, so going to one delays the others.
    env = grid(size=5, goals="sides_and_top", start=(2, 2), horizon=30)
    assert "bayes_optimal" not in env.family.anchors() and "oracle" in env.family.anchors()


def test_an_episode_too_short_for_any_goal_is_worth_standing_still():
    anchors = grid(size=5, goals="sides_and_top", start=(2, 0), horizon=1).family.anchors()
    assert anchors["oracle"] == anchors["stand_still"] == (0.0,)
    assert anchors["bayes_optimal"] == (0.0, 0.0)


@both
def test_standing_still_and_random_walks_are_worth_what_the_anchors_say(name):
    env = batch_of(name=name, num_envs=20_000)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    anchors = env.family.anchors()
    still = returns(env, lambda obs, _: np.full(len(obs), STAY))
    assert still == pytest.approx(anchors["stand_still"][0])
    walk = returns(env, lambda obs, _: rng.integers(5, size=len(obs)))
    assert walk == pytest.approx(anchors["random"][0], abs=0.03)  # standard error below .01


def belief_in(goals, positions, found):
    nowhere = Moves(np.empty((0, 2)), np.empty(0), np.empty(0, int))
    return posterior(CellGoals(goals, nowhere).agrees(positions, 1.0 * found, found))


def test_belief_rules_out_cells_until_the_goal_is_found():
    goals = np.array([[0, 2], [1, 2], [2, 2], [2, 1]])
    positions = np.array([[0, 1], [0, 2], [1, 2], [1, 1], [2, 1]])
    belief = belief_in(goals, positions, np.array([False, False, False, False, True]))
    third = [0, 1 / 3, 1 / 3, 1 / 3]
    assert belief == pytest.approx(
        np.array([[0.25] * 4, third, [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0, 1]])
    )


def test_belief_is_kept_apart_for_each_environment_and_must_be_possible():
    goals = np.array([[0, 2], [1, 2]])
    positions = np.array([[[0, 2], [0, 0]], [[0, 1], [1, 2]]])  # [T=2, B=2, 2]
    belief = belief_in(goals, positions, np.array([[True, False], [False, False]]))
    np.testing.assert_array_equal(belief, [[[1, 0], [0.5, 0.5]], [[1, 0], [1, 0]]])
    with pytest.raises(ValueError, match="no goal agrees"):
        belief_in(goals, positions, np.array([[True, False], [False, True]]) ^ True)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"start": (0, 3)}, "start: got [0, 3], expected [x, y] from 0 to 2"),
        ({"goals": "corners"}, "goals: got 'corners', expected one of"),
        ({"size": 2}, "goals: got 'away_from_start', but a grid of size 2 has no such cells"),
        ({"step_reward": 1.0}, "goal_reward: got 1.0, expected more than 1.0"),
        ({"horizon": 0}, "horizon: got 0, expected a number > 0"),
    ],
)
def test_settings_out_of_range_are_named(bad, message):
    with pytest.raises(ValueError) as error:
        grid(**bad)
    assert message in str(error.value)


def test_moves_to_goals_lead_there_from_all_cells_beside_them():
    moves = grid(goals="away_from_start").family.hidden_goal().moves
    env = grid(goals="away_from_start", num_envs=len(moves.goal))
    env.reset(seed=0)
    env.position[:] = moves.before
    obs, *_ = env.step(moves.action)
    np.testing.assert_array_equal(obs, env.family.all_tasks[moves.goal])
    assert (obs != moves.before).any(-1).all()
    # 3 x 3 cells, 5 of them goals: 3 corners with two neighbours each and 2 sides with three
    assert np.bincount(moves.goal).tolist() == [2, 3, 2, 3, 2]
