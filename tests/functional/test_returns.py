import torch
from torch.testing import assert_close

from metarl_cli.functional.returns import discounted_return, gae, last_step_trace, trial_gae


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


def slow_gae(reward, discount, value, next_value, trace):
    """Sum of the products written out, without the recursion."""
    steps = len(reward)
    out = torch.zeros_like(reward)
    for t in range(steps):
        factor = torch.ones_like(reward[0])
        for k in range(t, steps):
            out[t] += factor * (reward[k] + discount[k] * next_value[k] - value[k])
            factor = factor * discount[k] * trace[k]
    return out


def test_discounted_return_by_hand():
    returns = discounted_return(column(1, 2, 4), column(0.5, 0.5, 0.5))
    assert returns.tolist() == [1 + 0.5 * (2 + 0.5 * 4), 4, 4]


def test_discounted_return_ends_where_the_discount_is_zero():
    assert discounted_return(column(1, 2, 4), column(0.5, 0, 0.5)).tolist() == [2, 2, 4]


def test_gae_by_hand():
    # delta = (1 + .5 * 4 - 2, 2 + .5 * 6 - 4) = (1, 1); A_0 = 1 + .5 * .8 * 1
    advantage = gae(column(1, 2), column(0.5, 0.5), column(2, 4), column(4, 6), column(0.8, 0))
    assert_close(advantage, column(1.4, 1.0))


def test_gae_equals_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    random = [torch.rand(7, 3, generator=generator, dtype=torch.float64) for _ in range(5)]
    assert_close(gae(*random), slow_gae(*random))


def test_gae_does_not_bootstrap_at_termination():
    # Step 0 terminates: neither the value after it nor later advantages count.
    advantage = gae(column(1, 9), column(0, 0.9), column(3, 0), column(100, 0), column(0.9, 0))
    assert advantage[0] == 1 - 3


def test_gae_bootstraps_at_a_time_limit_without_looking_past_it():
    # Step 0 is cut by a limit: the true successor is worth 10, the next row is another episode.
    advantage = gae(column(1, 99), column(0.5, 0.5), column(3, 0), column(10, 0), column(0, 0))
    assert advantage[0] == 1 + 0.5 * 10 - 3


def test_gae_with_lambda_one_is_return_minus_value():
    reward, value = column(1, 2, 3), column(5, 6, 7)
    next_value = torch.cat([value[1:], column(0)])
    discount, trace = column(0.9, 0.9, 0.9), column(1, 1, 0)
    expected = discounted_return(reward, discount) - value
    assert_close(gae(reward, discount, value, next_value, trace), expected)


def test_trace_is_cut_at_the_last_active_step_and_at_the_end():
    active = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    expected = torch.tensor([[0.95, 0.0], [0.95, 0.0], [0.0, 0.0]])
    assert_close(last_step_trace(active, 0.95), expected)


def test_inputs_are_left_alone():
    reward, discount = column(1, 2), column(0.5, 0.5)
    discounted_return(reward, discount)
    assert reward.tolist() == [1, 2] and discount.tolist() == [0.5, 0.5]


def test_trial_advantages_reach_across_inner_episodes_and_skip_inactive_steps():
    reward = torch.tensor([[1.0, 1.0], [2.0, 99.0], [4.0, 4.0]])
    value = torch.tensor([[0.5, 0.5], [1.5, 77.0], [2.5, 2.5]])
    active = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    advantage = trial_gae(reward, value, active, discount=0.5, gae_lambda=0.5)
    # whole row: d2 = 4 - 2.5, d1 = 2 + .5 * 2.5 - 1.5, d0 = 1 + .5 * 1.5 - .5
    assert advantage[:, 0].tolist() == [1.25 + 0.25 * (1.75 + 0.25 * 1.5), 1.75 + 0.25 * 1.5, 1.5]
    # row with a gap: step 0 is followed by step 2
    assert advantage[:, 1].tolist() == [1 + 0.5 * 2.5 - 0.5 + 0.25 * 1.5, 0.0, 1.5]
