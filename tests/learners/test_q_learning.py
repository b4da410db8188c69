from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn
from torch.testing import assert_close

from metarl_cli.buffers.sequences import Episodes
from metarl_cli.core.types import TimeStep
from metarl_cli.learners.q_learning import QLearning, epsilon_greedy
from metarl_cli.networks.inputs import Inputs

PICTURES = Box(0, 255, (20, 20, 3), np.uint8)

LEARNER = QLearning(
    learning_rate=1e-3,
    max_grad_norm=10.0,
    batch=4,
    updates=1,
    buffer_trials=8,
    min_trials=4,
    discount=0.5,
    td_lambda=0.0,
    target_rate=0.25,
    final_epsilon=0.1,
    epsilon_steps=1000,
    repeat=1.0,
)


def episodes(acted):
    """One episode of two steps: action 1 for reward 1, then action 0 for reward 2."""
    zeros = torch.zeros(3, 1)
    return Episodes(
        step=TimeStep(zeros, zeros, zeros, zeros, zeros, zeros),
        action=torch.tensor([[1], [0]]),
        reward=torch.tensor([[1.0], [2.0]]),
        acted=torch.tensor(acted).unsqueeze(1),
    )


def test_loss_is_half_the_squared_error_and_the_end_of_an_episode_is_final():
    values = torch.tensor([[7.0, 4.0], [5.0, 6.0], [9.0, 9.0]]).unsqueeze(1)
    targets = torch.tensor([[0.0, 0.0], [2.0, 8.0], [9.0, 9.0]]).unsqueeze(1)
    # step 0: 1 + .5 * 8 = 5 for 4; step 1: 2 for 5
    assert LEARNER.loss(values, targets, episodes([1.0, 1.0])) == (1 + 9) / 2 / 2


def test_steps_after_the_end_count_nothing():
    values = torch.tensor([[7.0, 4.0], [5.0, 6.0], [9.0, 9.0]]).unsqueeze(1)
    assert LEARNER.loss(values, values, episodes([1.0, 0.0])) == (4 - 1) ** 2 / 2


def test_gradient_reaches_the_values_of_the_actions_taken_only():
    values = torch.ones(3, 1, 2, requires_grad=True)
    LEARNER.loss(values, torch.ones(3, 1, 2), episodes([1.0, 1.0])).backward()
    assert values.grad[:, 0].ne(0).tolist() == [[False, True], [True, False], [False, False]]


def test_epsilon_falls_linearly_and_then_stays():
    assert [LEARNER.epsilon(n) for n in (0, 500, 1000, 9000)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_epsilon_greedy_is_greedy_without_drawing_and_random_at_one():
    values = torch.tensor([[0.0, 2.0, 1.0]]).expand(3000, 3)
    before = torch.get_rng_state()
    free = torch.full((3000,), -1)
    assert epsilon_greedy(values, 0.0, free, 1.0)[0].eq(1).all()
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(0)
    actions, held = epsilon_greedy(values, 0.6, free, 1.0)
    shares = actions.bincount(minlength=3) / 3000
    assert_close(shares, torch.tensor([0.2, 0.6, 0.2]), atol=0.03, rtol=0)
    assert held[actions != 1].equal(actions[actions != 1])


def test_random_actions_are_kept_up_for_as_long_as_asked_on_average():
    values, held = torch.zeros(3000, 2), torch.ones(3000, dtype=torch.long)
    torch.manual_seed(0)
    durations = torch.ones(3000)
    for _ in range(60):
        going_on = held >= 0
        _, held = epsilon_greedy(values, 1e-9, held, repeat=4.0)
        durations += going_on & (held >= 0)
    assert held.eq(-1).all() and abs(durations.mean() - 4) < 0.2


def test_targets_follow_at_their_rate_and_take_statistics_over():
    model, target = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(model.weight, 8.0)
    nn.init.constant_(target.weight, 4.0)
    LEARNER.follow(target, model)
    assert (target.weight, model.weight) == (5.0, 8.0)
    ours, theirs = Inputs(PICTURES, extra_dim=1), Inputs(PICTURES, extra_dim=1)
    ours.mean.fill_(2.0)
    LEARNER.follow(theirs, ours)
    assert theirs.mean == 2


@pytest.mark.parametrize(
    "wrong", [{"td_lambda": 1.5}, {"min_trials": 9}, {"final_epsilon": -1.0}, {"updates": 0}]
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(LEARNER, **wrong)
