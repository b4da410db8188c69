import math

import torch
from torch.testing import assert_close

from metarl_cli.functional.soft_q import policy_loss, soft_target, temperature_loss


def test_target_takes_the_lower_critic_and_pays_for_entropy():
    next_q = torch.tensor([[4.0, 1.0, 9.0], [2.0, 3.0, 9.0]])
    target = soft_target(
        reward=torch.tensor([1.0, 2.0, 3.0]),
        discount=torch.tensor([0.5, 0.5, 0.0]),
        next_q=next_q,
        next_log_prob=torch.tensor([-2.0, 1.0, 5.0]),
        temperature=torch.tensor(0.5),
    )
    assert target.tolist() == [1 + 0.5 * (2 + 1), 2 + 0.5 * (1 - 0.5), 3.0]


def test_policy_loss_is_lower_for_better_and_for_less_likely_actions():
    q = torch.tensor([[4.0], [2.0]])
    assert policy_loss(q, torch.tensor([-1.0]), torch.tensor(0.5)).tolist() == [-0.5 - 2]


def test_temperature_rises_where_the_entropy_is_below_its_target():
    log_temperature = torch.tensor(math.log(0.2), requires_grad=True)
    too_certain, too_random = torch.tensor([3.0]), torch.tensor([0.5])
    for log_prob, sign in ((too_certain, -1), (too_random, 1)):
        loss = temperature_loss(log_temperature, log_prob, target_entropy=-1.0).sum()
        (gradient,) = torch.autograd.grad(loss, log_temperature)
        assert_close(gradient, -(log_prob - 1.0).sum())
        assert gradient.sign() == sign
