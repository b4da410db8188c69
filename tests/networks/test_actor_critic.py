import copy
import functools

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch.testing import assert_close

from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe
from metarl_cli.networks.stacked import stack_copies

NETWORK = Recipe(functools.partial(MLP, [4], "tanh"))
SPEC = EnvSpec(Box(-1, 1, (3,), np.float32), Discrete(2), Box(-1, 1, (1,)), horizon=5)


def take_in(normalizer, samples):
    normalizer.update_statistics(samples, torch.ones(samples.shape[:-1]))


def model(seed=0, **settings):
    torch.manual_seed(seed)
    built = ActorCritic(SPEC, NETWORK, initial_std=1.0, **settings)
    take_in(built.inputs, torch.randn(1, 20, 3 + settings.get("context_dim", 0)) * 3 + 1)
    take_in(built.returns, torch.randn(1, 20, 1) * 5 - 40)
    return built


def steps(obs, **extras):
    """Steps with observations `[..., 3]` at which action 1 was taken."""
    ones = torch.ones(obs.shape[:-1])
    step = TimeStep(obs, ones.long(), ones, ones, ones, ones.unsqueeze(-1))
    return Trajectory(step, ones.long(), ones, obs, ones, extras)


def test_actor_and_critic_share_no_parameter():
    built = model()
    actor = {id(p) for part in (built.actor, built.head) for p in part.parameters()}
    critic = {id(p) for part in (built.critic, built.critic_head) for p in part.parameters()}
    assert actor and critic and not actor & critic


def test_value_is_the_standardised_value_in_units_of_reward():
    built, x = model(), torch.randn(6, 3)
    std = built.returns.variance.sqrt()
    assert_close(built.value(x), built.evaluate(steps(x)).value * std + built.returns.mean)
    assert built.value(x).shape == (6,)


def test_evaluation_is_of_the_actions_that_were_recorded():
    built, x = model(), torch.randn(6, 3)
    said, distribution = built.evaluate(steps(x)), built.distribution(x)
    assert_close(said.log_prob, distribution.log_probs[:, 1])
    assert_close(said.entropy, distribution.entropy())
    assert said.auxiliary is None


def test_context_is_appended_to_the_observation():
    built = model(context_dim=1)
    features = built.features(torch.zeros(2, 3), torch.ones(2, 1))
    assert features.tolist() == [[0, 0, 0, 1]] * 2


def test_context_of_recorded_steps_is_found_among_their_extras():
    built = model(context_dim=1, context="told")
    obs, told = torch.randn(4, 3), torch.randn(4, 1)
    said = built.evaluate(steps(obs, told=told, other=torch.zeros(4)))
    distribution = built.distribution(built.features(obs, told))
    assert_close(said.log_prob, distribution.log_probs[:, 1])


def test_samples_are_single_steps_and_numbers_of_them_find_their_place_in_time_again():
    built, trials = model(), steps(torch.arange(24.0).view(4, 2, 3))  # [T, B, 3]
    samples = built.samples(trials)
    assert samples.step.obs[3].tolist() == [9, 10, 11]  # t = 1, b = 1
    assert built.in_time(samples.step.obs[:, 0], trials.reward).equal(trials.step.obs[..., 0])
    assert built.flat(samples.reward).shape == (8,)


def test_statistics_of_inputs_are_of_active_samples_with_their_context():
    torch.manual_seed(0)
    built = ActorCritic(SPEC, NETWORK, initial_std=1.0, context_dim=1)
    samples = steps(torch.tensor([[1.0, 2, 3], [3, 4, 5], [9, 9, 9]]), context=torch.ones(3, 1))
    samples.step.active = torch.tensor([1.0, 1.0, 0.0])
    built.update_statistics(samples)
    assert built.inputs.mean.tolist() == [2, 3, 4, 1] and built.inputs.count.tolist() == [2]


def test_stacked_copies_compute_what_the_original_does():
    original = model()
    stacked, x = stack_copies(copy.deepcopy(original), 3), torch.randn(3, 5, 3)
    for row in range(3):
        assert_close(stacked.value(x)[row], original.value(x[row]))
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


def test_a_new_policy_acts_alike_everywhere():
    undecided = model().distribution(3 * torch.randn(100, 3))
    assert_close(undecided.log_probs.exp(), torch.full((100, 2), 0.5), atol=0.02, rtol=0)
