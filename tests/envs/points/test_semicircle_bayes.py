"""What can be known of a goal on a semicircle, with so few cells that they can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from metarl_cli.envs.base.hidden_goal import HidesGoal, posterior
from metarl_cli.envs.points.point import PointSemicircle
from metarl_cli.envs.points.semicircle_bayes import SemicircleGoals, on_circle

RIGHT, NEAR_RIGHT, NEAR_LEFT, LEFT = on_circle(np.radians([22.5, 67.5, 112.5, 157.5]))
SIDE = 2 * np.sin(np.radians(22.5))  # between neighbours, 0.765


def quarters(goal_radius):
    """Four cells of 45 degrees; no distance differs in a cell by more than 0.393."""
    return SemicircleGoals(circle_radius=1.0, goal_radius=goal_radius, max_step=0.1, num=4)


def belief(goal_radius, *seen):
    """After each (position, reward) in turn, `[T, 4]`."""
    positions, reward = (np.array(column) for column in zip(*seen, strict=True))
    return posterior(quarters(goal_radius).agrees(positions, reward, reward > 0)).tolist()


def test_an_unpaid_step_rules_out_only_cells_that_would_have_paid_throughout():
    third = pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    assert belief(0.5, (RIGHT, 0.0)) == [third]  # the whole cell is within 0.393
    assert belief(0.3, (RIGHT, 0.0)) == [[0.25] * 4]  # its ends are not within 0.3
    assert belief(0.5, (RIGHT, 0.0), (LEFT, 0.0)) == [third, [0, 0.5, 0.5, 0]]
    assert belief(0.9, (1.2 * RIGHT, 0.0))[0] == third  # NEAR_RIGHT is 0.86 away, may be 1.2


def test_a_paid_step_leaves_the_cells_at_the_distance_that_it_tells():
    assert belief(0.9, (RIGHT, 1.0)) == [[1, 0, 0, 0]]
    assert belief(0.9, (NEAR_RIGHT, 1.0 - SIDE)) == [[0.5, 0, 0.5, 0]]  # to either side
    seen = belief(0.9, (NEAR_RIGHT, 1.0 - SIDE), (NEAR_LEFT, 0.0))
    assert seen == [[0.5, 0, 0.5, 0], [1, 0, 0, 0]]
    with pytest.raises(ValueError, match="no goal agrees"):
        belief(0.9, (RIGHT, 1.0), (RIGHT, 0.0))


def test_what_a_goal_pays_on_the_other_places():
    near = 1.0 - SIDE
    expected = [[1, near, 0, 0], [near, 1, near, 0], [0, near, 1, near], [0, 0, near, 1]]
    np.testing.assert_allclose(quarters(0.9).pays, expected, atol=1e-12)
    np.testing.assert_array_equal(quarters(0.5).pays.round(9), np.eye(4))
    np.testing.assert_allclose(quarters(0.5).place(np.radians([[22.5], [157.5]])), [RIGHT, LEFT])


def test_the_true_goal_is_never_ruled_out_and_is_found_by_who_stands_near_it():
    family = PointSemicircle(
        circle_radius=1.0, goal_radius=0.2, max_step=0.1, dense=False, horizon=60
    )
    env = family.batch(300)
    rng, positions, rewards = np.random.default_rng(0), [], []
    env.reset(seed=0)
    hidden = env.family.hidden_goal()
    target = on_circle(np.pi * rng.random(env.num_envs))  # half go there, half to the goal
    target[::2] = hidden.place(env.tasks[::2])
    position = np.zeros_like(target)
    for _ in range(env.family.horizon):
        wandering = 10 * (target - position) + rng.normal(size=target.shape)
        position, reward, *_ = env.step(wandering)
        positions.append(position)
        rewards.append(reward)
    paid = np.array(rewards, np.float32)
    believed = posterior(hidden.agrees(np.array(positions), paid, paid > 0))[-1]  # [B, G]
    cell = (env.tasks[:, 0] / np.pi * len(hidden.goals)).astype(int)
    assert (believed[np.arange(env.num_envs), cell] > 0).all()
    assert ((believed[::2] > 0).sum(-1) <= 3).all()
    assert 10 < (believed[~(paid > 0).any(0)] > 0).sum(-1).mean() < len(hidden.goals)


def test_moves_cross_each_goal_from_both_sides():
    hidden = SemicircleGoals(circle_radius=2.0, goal_radius=0.2, max_step=0.1, num=3)
    moves = hidden.moves
    assert moves.goal.tolist() == [0, 1, 2, 0, 1, 2]
    after = moves.before + 0.1 * moves.action
    np.testing.assert_allclose(after, hidden.goals[moves.goal], atol=1e-12)
    np.testing.assert_allclose(moves.action[[1, 4]], [[-0.5, 0], [0.5, 0]], atol=1e-12)  # at (0, 2)


def test_dense_rewards_hide_nothing():
    settings = {"circle_radius": 1.0, "goal_radius": 0.2, "max_step": 0.1, "horizon": 2}
    family = PointSemicircle(**settings, dense=True)
    assert isinstance(family, HidesGoal) and family.hidden_goal() is None
