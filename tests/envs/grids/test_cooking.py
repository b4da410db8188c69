import numpy as np
import pytest

from metarl_cli.config.make import make_family
from metarl_cli.envs.grids.cooking import DRAWERS, Cooking
from metarl_cli.envs.grids.dream_grid import DOWN, DROP, END, LEFT, PICK, RIDE, RIGHT, STAY, UP


def kitchen(num_envs=1, test_ids=(10,)):
    return Cooking(
        progress_reward=0.25,
        step_reward=-0.1,
        mistake_reward=-0.25,
        test_ids=test_ids,
        horizon=20,
    ).batch(num_envs)


def begin(task, recipe):
    """One kitchen with this task, at the start of an episode with this recipe."""
    env = kitchen()
    for seed in range(1000):
        obs, _ = env.reset(seed=seed, task=task)
        if obs["instruction"][0].tolist() == recipe:
            return env
    raise AssertionError("no such recipe")


def play(env, *actions):
    """Observations, rewards, terminated of each step."""
    steps = [env.step(np.array([action])) for action in actions]
    seen = [step[0]["grid"][0].tolist() for step in steps]
    return seen, pytest.approx([step[1][0] for step in steps]), [bool(step[2][0]) for step in steps]


def test_a_recipe_done_without_detours():
    env = begin([1, 2, 3], [2, 1])
    seen, rewards, ends = play(env, RIGHT, PICK, LEFT, DROP)
    assert seen == [
        [2, 1, 3, 4, 4, 4, 4], [2, 1, 3, 2, 4, 4, 4], [1, 1, 2, 2, 4, 4, 4], [1, 1, 2, 4, 2, 4, 4]
    ]  # fmt: skip
    assert rewards == [-0.1, 0.25, -0.1, 0.25] and not any(ends)
    seen, rewards, ends = play(env, RIGHT, DOWN, PICK, LEFT, UP)
    assert [grid[:4] for grid in seen] == [
        [2, 1, 3, 4], [2, 0, 3, 4], [2, 0, 3, 1], [1, 0, 0, 1], [1, 1, 2, 1]
    ]  # fmt: skip
    assert rewards == [-0.1, -0.1, 0.25, -0.1, -0.1] and not any(ends)
    obs, reward, terminated, truncated, info = env.step(np.array([DROP]))
    assert obs["grid"][0].tolist() == [1, 1, 2, 4, 2, 1, 4] and reward[0] == 0.25
    assert terminated[0] and not truncated[0] and info["success"][0] == 1.0


def test_picking_the_wrong_thing_or_nothing_is_a_mistake():
    env = begin([1, 2, 3], [1, 1])
    _, rewards, _ = play(env, PICK, RIGHT, PICK, STAY, DOWN, PICK)
    assert rewards == [-0.35, -0.1, -0.35, -0.1, -0.1, 0.25]


def test_losing_the_right_thing_is_a_mistake_and_undoes_the_progress():
    env = begin([1, 2, 3], [2, 2])
    seen, rewards, _ = play(env, RIGHT, PICK, DROP, PICK, DOWN, PICK)
    assert [grid[3] for grid in seen] == [4, 2, 4, 2, 2, 1]
    assert rewards == [-0.1, 0.25, -0.35, 0.25, -0.1, -0.35]


def test_picking_at_the_pot_loses_what_is_in_the_hand():
    env = begin([1, 2, 3], [2, 2])
    seen, rewards, _ = play(env, RIGHT, PICK, LEFT, PICK)
    assert seen[-1] == [1, 1, 2, 4, 4, 4, 4] and rewards == [-0.1, 0.25, -0.1, -0.35]


def test_the_pot_takes_three_things_in_order_and_gives_none_back():
    env = begin([1, 2, 3], [2, 2])
    fetch = (RIGHT, PICK, LEFT, DROP)
    assert play(env, RIGHT, DOWN, PICK, LEFT, UP, DROP)[0][-1] == [1, 1, 2, 4, 1, 4, 4]
    assert play(env, *fetch)[0][-1] == [1, 1, 2, 4, 1, 2, 4]  # in the wrong slot: no progress
    assert play(env, *fetch)[0][-1] == [1, 1, 2, 4, 1, 2, 2]
    seen, rewards, _ = play(env, *fetch)
    assert seen[-1] == [1, 1, 2, 4, 1, 2, 2] and rewards == [-0.1, 0.25, -0.1, -0.35]


def test_walls_stop_and_riding_does_nothing():
    env = begin([0, 0, 0], [0, 0])
    seen, _, _ = play(env, RIDE, UP, UP, LEFT, LEFT, DROP)
    assert [grid[:3] for grid in seen] == [
        [1, 1, 2], [1, 2, 0], [1, 2, 0], [0, 2, 0], [0, 2, 0], [0, 2, 0]
    ]  # fmt: skip


@pytest.mark.parametrize("steps_before", [0, 7, 19])
def test_ending_early_costs_all_steps_that_were_left(steps_before):
    env = kitchen()
    env.reset(seed=0)
    total = sum(env.step(np.array([STAY]))[1][0] for _ in range(steps_before))
    _, reward, terminated, truncated, info = env.step(np.array([END]))
    assert total + reward[0] == pytest.approx(-2.0) == env.family.anchors()["stand_still"][0]
    assert terminated[0] and not truncated[0] and info["success"][0] == 0


def test_nothing_happens_after_the_end():
    env = begin([1, 2, 3], [2, 1])
    play(env, RIGHT, END)
    picture = env.draw()
    play(env, PICK, LEFT)
    np.testing.assert_array_equal(env.draw(), picture)


def test_recipes_name_what_is_in_the_drawers():
    env = kitchen(num_envs=900)
    obs, _ = env.reset(seed=0, task=[3, 0, 2])
    recipes, counts = np.unique(obs["instruction"], axis=0, return_counts=True)
    assert recipes.tolist() == [[a, b] for a in (0, 2, 3) for b in (0, 2, 3)]
    assert counts.min() > 65
    assert (env.reset()[0]["instruction"] != obs["instruction"]).any()


def test_kitchens_and_their_split_are_the_published_ones():
    family = make_family(name="cooking")
    assert family.all_tasks.shape == (64, 3) and len(np.unique(family.all_tasks, axis=0)) == 64
    assert family.all_tasks[[0, 1, 4, 16]].tolist() == [
        [0, 0, 0],
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]
    assert family.test_tasks.tolist() == [[2, 2, 0]]
    with pytest.raises(ValueError, match="test_ids: got \\[64\\], expected some of 0 to 63"):
        kitchen(test_ids=[64])


def test_fetching_from_the_nearest_drawers_is_worth_the_oracle():
    env = kitchen(num_envs=6400)
    obs, _ = env.reset(seed=0, task=np.repeat(env.family.all_tasks, 100, axis=0))
    total, success = 0.0, 0.0
    for _ in range(env.family.horizon):
        obs, reward, _, _, info = env.step(nearest_first(obs, env.tasks))
        total, success = total + reward, success + info["success"]
    assert success.mean() == 1.0
    assert sorted(set(total.round(9))) == [0.2, 0.4, 0.6]
    assert total.mean() == pytest.approx(
        env.family.anchors()["oracle"][0], abs=0.007
    )  # 5 std. errors
    assert env.family.anchors()["oracle"][0] == pytest.approx(0.4)


def nearest_first(obs, tasks):
    grid, recipe = obs["grid"], obs["instruction"]
    place, hand, pot = grid[:, :2], grid[:, 3], grid[:, 4:]
    wanted = np.where(pot[:, 0] == 4, recipe[:, 0], recipe[:, 1])
    distance = np.where(tasks == wanted[:, None], [2, 1, 2], 9)
    full = hand != 4
    target = np.where(full[:, None], [1, 1], DRAWERS[distance.argmin(1)])
    right, up = (target - place).T
    walk = np.where(right != 0, np.where(right > 0, RIGHT, LEFT), np.where(up > 0, UP, DOWN))
    return np.where((right == 0) & (up == 0), np.where(full, DROP, PICK), walk)
