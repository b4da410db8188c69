import math

import pytest
import torch
from gymnasium.spaces import MultiBinary
from torch.testing import assert_close

from metarl_cli.networks.heads import GaussianHead, build_head


def test_action_space_without_a_head_is_named():
    with pytest.raises(ValueError, match="no policy head"):
        build_head(MultiBinary(3), 4, 1.0)


def test_a_bounded_mean_stays_where_noise_makes_a_difference():
    head = GaussianHead(1, 1, initial_std=0.5, gain=1.0, bounded_mean=True)
    torch.nn.init.ones_(head.mean.weight)
    distribution = head(torch.tensor([[-100.0], [0.5], [100.0]]))
    assert_close(distribution.mean, torch.tensor([[-1.0], [math.tanh(0.5)], [1.0]]))
    assert_close(distribution.log_std.exp(), torch.tensor([0.5]))
