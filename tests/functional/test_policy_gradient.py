import torch
from torch.testing import assert_close

from metarl_cli.functional.policy_gradient import (
    clipped_surrogate_loss,
    policy_gradient_loss,
    surrogate_loss,
)

OLD = torch.tensor([[-1.0, -2.0, -0.5]])
ADVANTAGE = torch.tensor([[2.0, -1.0, 7.0]])
MASK = torch.tensor([[1.0, 1.0, 0.0]])


def gradient(loss_fn, log_prob=OLD):
    leaf = log_prob.clone().requires_grad_()
    return torch.autograd.grad(loss_fn(leaf).sum(), leaf)[0]


def test_policy_gradient_loss_by_hand():
    loss = policy_gradient_loss(OLD, ADVANTAGE, MASK)
    assert loss.tolist() == [-(-1.0 * 2 + -2.0 * -1) / 2]
    assert gradient(lambda x: policy_gradient_loss(x, ADVANTAGE, MASK)).tolist() == [[-1, 0.5, 0]]


def test_surrogate_is_minus_the_mean_advantage_at_the_old_policy():
    assert surrogate_loss(OLD, OLD, ADVANTAGE, MASK).tolist() == [-0.5]


def test_surrogate_gradient_at_the_old_policy_is_the_policy_gradient():
    expected = gradient(lambda x: policy_gradient_loss(x, ADVANTAGE, MASK))
    assert_close(gradient(lambda x: surrogate_loss(x, OLD, ADVANTAGE, MASK)), expected)
    clipped = gradient(lambda x: clipped_surrogate_loss(x, OLD, ADVANTAGE, MASK, 0.2))
    assert_close(clipped, expected)


def test_surrogate_weighs_by_the_ratio():
    new = OLD + torch.tensor([[2.0, 0.5, 0.0]]).log()
    assert_close(surrogate_loss(new, OLD, ADVANTAGE, MASK), torch.tensor([-(2 * 2 - 0.5) / 2]))


def test_clip_ends_the_gain_from_good_actions_above_and_bad_actions_below():
    new = OLD + torch.tensor([[2.0, 0.5, 0.0]]).log()
    loss = clipped_surrogate_loss(new, OLD, ADVANTAGE, MASK, 0.2)
    assert_close(loss, torch.tensor([-(1.2 * 2 - 0.8 * 1) / 2]))
    slope = gradient(lambda x: clipped_surrogate_loss(x, OLD, ADVANTAGE, MASK, 0.2), new)
    assert slope.tolist() == [[0, 0, 0]]


def test_clip_never_hides_a_loss():
    new = OLD + torch.tensor([[0.5, 2.0, 0.0]]).log()  # moved in the wrong direction
    clipped = clipped_surrogate_loss(new, OLD, ADVANTAGE, MASK, 0.2)
    assert_close(clipped, surrogate_loss(new, OLD, ADVANTAGE, MASK))
