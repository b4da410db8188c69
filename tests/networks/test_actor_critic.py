import copy
import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.testing import assert_close

from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec
from metarl_cli.networks.actor_critic import ActorCritic, stack_copies
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.normalizer import Normalizer

NETWORK = functools.partial(MLP, [4], "tanh")
SPEC = EnvSpec(Box(-1, 1, (3,), np.float32), Discrete(2), Box(-1, 1, (1,)), horizon=5)


def take_in(normalizer, samples):
    normalizer.update(samples, torch.ones(samples.shape[:2]))


def model(seed=0, **settings):
    torch.manual_seed(seed)
    built = ActorCritic(SPEC, NETWORK, initial_std=1.0, **settings)
    take_in(built.inputs, torch.randn(1, 20, 3 + settings.get("context_dim", 0)) * 3 + 1)
    take_in(built.returns, torch.randn(1, 20, 1) * 5 - 40)
    return built


def test_actor_and_critic_share_no_parameter():
    built = model()
    actor = {id(p) for part in (built.actor, built.head) for p in part.parameters()}
    critic = {id(p) for part in (built.critic, built.critic_head) for p in part.parameters()}
    assert actor and critic and not actor & critic


def test_value_is_the_scaled_value_in_units_of_reward():
    built, x = model(), torch.randn(1, 6, 3)
    std = (built.returns.mean_square - built.returns.mean**2).sqrt()
    assert_close(built.value(x), built.scaled_value(x) * std + built.returns.mean)
    assert built.value(x).shape == (1, 6)


def test_context_is_appended_to_the_observation():
    built = model(context_dim=1)
    features = built.features(torch.zeros(2, 3), torch.ones(2, 1))
    assert features.tolist() == [[0, 0, 0, 1]] * 2


def test_stacked_copies_compute_what_the_original_does():
    original = model()
    stacked, x = stack_copies(copy.deepcopy(original), 3), torch.randn(3, 5, 3)
    for row in range(3):
        assert_close(stacked.value(x)[row], original.value(x[row : row + 1])[0])
        log_probs = original.distribution(x[row]).log_probs
        assert_close(stacked.distribution(x).log_probs[row], log_probs)


def test_stacked_copies_are_independent_in_parameters_gradients_and_statistics():
    stacked, x = stack_copies(model(), 2), torch.randn(2, 5, 3)
    before = stacked.value(x).detach()
    stacked.value(x)[1].sum().backward()
    with torch.no_grad():
        for parameter in stacked.parameters():
            assert parameter.grad is None or parameter.grad[0].eq(0).all()
            parameter[1] += 1
    for normalizer in (stacked.inputs, stacked.returns):
        normalizer.mean[1] += 1
    assert_close(stacked.value(x)[0], before[0])
    assert not torch.allclose(stacked.value(x)[1], before[1])


def test_network_with_memory_is_refused():
    class Recurrent(MLP):
        kind = "recurrent"

    with pytest.raises(UserError, match="feed-forward"):
        ActorCritic(SPEC, functools.partial(Recurrent, [4], "tanh"), initial_std=1.0)


def batches():
    generator = np.random.default_rng(0)
    return [generator.normal(3.0, [1.0, 5.0], (2, m, 2)).astype(np.float32) for m in (4, 1, 7)]


def test_running_moments_equal_those_of_all_samples_in_each_group():
    normalizer = stack_copies(Normalizer(2), 2)
    for batch in batches():
        take_in(normalizer, torch.from_numpy(batch))
    everything = np.concatenate(batches(), 1)
    assert_close(normalizer.mean, torch.from_numpy(everything.mean(1)), rtol=1e-4, atol=1e-5)
    z = normalizer(torch.from_numpy(everything))
    expected = (everything - everything.mean(1, keepdims=True)) / everything.std(1, keepdims=True)
    assert_close(z, torch.from_numpy(expected), rtol=1e-3, atol=1e-3)


def test_samples_outside_the_mask_do_not_count():
    one, other = Normalizer(2), Normalizer(2)
    first, *_ = (torch.from_numpy(batch[:1]) for batch in batches())
    take_in(one, first[:, :3])
    other.update(first, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    other.update(first, torch.zeros(1, 4))
    assert_close(one.mean, other.mean)
    assert_close(one.mean_square, other.mean_square)
    assert one.count.item() == other.count.item() == 3


def test_normalizer_is_the_identity_before_any_sample_and_clips():
    normalizer = Normalizer(1, clip=2.0)
    assert normalizer(torch.tensor([[1.5], [-9.0]])).tolist() == [[1.5], [-2]]


def test_restore_undoes_normalisation():
    normalizer = Normalizer(2)
    take_in(normalizer, torch.from_numpy(batches()[2][:1]))
    x = torch.randn(3, 2)
    assert_close(normalizer.restore(normalizer(x)), x)


def test_constant_feature_stays_finite():
    normalizer = Normalizer(1)
    take_in(normalizer, torch.full((1, 9, 1), 5.0))
    assert normalizer(torch.full((1, 1, 1), 5.0)).abs().item() < 1e-3


def test_a_new_policy_acts_alike_everywhere():
    undecided = model().distribution(3 * torch.randn(100, 3))
    assert_close(undecided.log_probs.exp(), torch.full((100, 2), 0.5), atol=0.02, rtol=0)
