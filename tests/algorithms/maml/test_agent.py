"""The policy that is adapted, and adaptation itself."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.func import functional_call
from torch.testing import assert_close

from algorithms.maml.explicit import LR, SPACES, N, construct, tiny
from metarl_cli.algorithms.maml.agent import Policy
from metarl_cli.algorithms.maml.maml import MAML
from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.config.compose import compose
from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec
from metarl_cli.functional.distributions import Categorical, DiagonalGaussian
from metarl_cli.functional.policy_gradient import policy_gradient_loss
from metarl_cli.networks.heads import MIN_LOG_STD
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.parameters import flatten_parameters, load_flat, unflatten
from metarl_cli.networks.recipe import Recipe

NETWORK = Recipe(functools.partial(MLP, [4], "tanh"))
VECTOR = Box(-1, 1, (3,), np.float32)
ACTIONS = {"continuous": Box(-1, 1, (2,), np.float32), "discrete": Discrete(3)}
every_action = pytest.mark.parametrize("kind", ACTIONS)


class Recurrent(MLP):
    kind = "recurrent"


def spec(action, observation=VECTOR):
    return EnvSpec(observation, action, Box(-1, 1, (1,)), horizon=5)


def policy(kind, observation=VECTOR):
    return Policy(spec(ACTIONS[kind], observation), NETWORK, initial_std=0.5)


def parameters_of(distribution):
    if isinstance(distribution, DiagonalGaussian):
        mean, log_std = torch.broadcast_tensors(distribution.mean, distribution.log_std)
        return torch.cat([mean, log_std], -1)
    return distribution.log_probs


@every_action
@pytest.mark.parametrize("observation", [VECTOR, Discrete(5)])
def test_stacked_parameters_give_each_task_the_policy_of_its_own(kind, observation):
    torch.manual_seed(0)
    policies = [policy(kind, observation) for _ in range(3)]
    if kind == "continuous":
        for row, each in enumerate(policies):
            torch.nn.init.constant_(each.head.log_std, float(row))
    obs = torch.randint(5, (3, 7)) if observation is not VECTOR else torch.randn(3, 7, 3)
    flat = torch.stack([flatten_parameters(each) for each in policies])
    out = functional_call(policies[0], unflatten(policies[0], flat), (obs,))
    for row, each in enumerate(policies):
        assert_close(parameters_of(out)[row], parameters_of(each(obs[row])))


def test_action_space_decides_the_distribution():
    obs = torch.zeros(4, 3)
    gaussian, categorical = policy("continuous")(obs), policy("discrete")(obs)
    assert isinstance(gaussian, DiagonalGaussian) and gaussian.sample().shape == (4, 2)
    assert isinstance(categorical, Categorical) and categorical.sample().shape == (4,)


def test_standard_deviation_starts_as_given_and_is_bounded_below():
    net = policy("continuous")
    assert_close(net(torch.zeros(1, 3)).log_std.exp(), torch.full((2,), 0.5))
    torch.nn.init.constant_(net.head.log_std, -100.0)
    assert_close(net(torch.zeros(1, 3)).log_std, torch.full((2,), MIN_LOG_STD))
    assert math.isclose(math.exp(MIN_LOG_STD), 1e-6)


def test_network_with_memory_is_refused_by_a_feed_forward_policy():
    network = Recipe(functools.partial(Recurrent, [4], "tanh"))
    with pytest.raises(UserError, match="needs a feed-forward one, got recurrent"):
        Policy(spec(ACTIONS["discrete"]), network, initial_std=1)


@every_action
def test_flat_parameters_survive_a_round_trip(kind):
    source, target = policy(kind), policy(kind)
    load_flat(target, flatten_parameters(source))
    for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
        assert ours.equal(theirs)


def test_flattened_parameters_are_a_copy_and_unflattened_ones_are_views():
    net = policy("continuous")
    flat = flatten_parameters(net)
    with torch.no_grad():
        next(net.parameters()).zero_()
    assert flat[0] != 0
    named = unflatten(net, flat)
    flat.fill_(7)
    assert all((value == 7).all() for value in named.values())
    assert {name: value.shape for name, value in named.items()} == {
        name: value.shape for name, value in net.named_parameters()
    }


def test_unflatten_lets_gradients_through_to_every_task():
    net = policy("discrete")
    flat = flatten_parameters(net).expand(2, -1).clone().requires_grad_()
    total = sum(value[1].sum() for value in unflatten(net, flat).values())
    (gradient,) = torch.autograd.grad(total, flat)
    assert gradient[0].eq(0).all() and gradient[1].eq(1).all()


def adaptation(steps=1, **env):
    sampler = tiny(**env)
    algorithm = construct(MAML, sampler, steps=steps)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    return sampler, algorithm, trial


def step_size(algorithm, episode, before, after):
    """Ratio of the change of parameters to the gradient of the samples adapted to."""
    samples = algorithm.samples(episode, N)
    leaf = before.parameters.detach().clone().requires_grad_()
    log_prob = algorithm.distribution(leaf, samples.obs).log_prob(samples.action)
    loss = policy_gradient_loss(log_prob, samples.advantage, samples.mask)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    change = before.parameters - after.parameters
    return (change * gradient).sum(1) / gradient.square().sum(1)


def test_steps_beyond_those_trained_for_are_smaller():
    sampler, algorithm, trial = adaptation(steps=2)
    sizes = []
    for _ in range(4):
        episode, trial = sampler.run(algorithm, trial)
        before, trial = trial.state, trial.adapt(algorithm, episode)
        sizes.append(step_size(algorithm, episode, before, trial.state))
    assert trial.state.steps_taken == 4
    for size, expected in zip(sizes, (LR, LR, 0.25 * LR, 0.25 * LR), strict=True):
        assert_close(size, torch.full((N,), expected), rtol=1e-3, atol=0)


def test_adaptation_without_advantage_changes_nothing():
    # Equal returns in every environment: the baseline fits them, whitening gives zeros.
    sampler, algorithm, trial = adaptation(horizon=1, ends=None)
    episode, _ = sampler.run(algorithm, trial)
    silent = replace(episode, reward=torch.zeros_like(episode.reward))
    assert trial.adapt(algorithm, silent).state.parameters.equal(trial.state.parameters)


def test_a_task_adapts_to_its_own_samples_only():
    sampler, algorithm, trial = adaptation()
    episode, _ = sampler.run(algorithm, trial)
    other = replace(episode, reward=episode.reward.clone())
    other.reward[:, -4:] -= torch.arange(4.0)  # the last of the 3 tasks
    first, second = (trial.adapt(algorithm, e).state.parameters for e in (episode, other))
    assert first[:2].equal(second[:2]) and not first[2].equal(second[2])


def test_adaptation_makes_rewarded_actions_likelier():
    sampler, algorithm, trial = adaptation(space=("vector", "discrete"), horizon=1, ends=None)
    episode, _ = sampler.run(algorithm, trial)
    for row in range(12):
        episode.action[:, row] = row % 3
    rewarded = replace(episode, reward=(episode.action == 1).float())
    adapted = trial.adapt(algorithm, rewarded).state
    obs = episode.step.obs.unflatten(1, (N, -1))[0]
    before = algorithm.distribution(trial.state.parameters, obs).log_probs[..., 1]
    after = algorithm.distribution(adapted.parameters, obs).log_probs[..., 1]
    assert (after > before).all()


def test_every_trial_starts_from_the_meta_learned_parameters():
    _, algorithm, trial = adaptation()
    shared = flatten_parameters(algorithm.policy)
    assert trial.state.parameters.equal(shared.expand(N, -1)) and trial.state.steps_taken == 0
    load_flat(algorithm.policy, shared + 1)
    assert trial.state.parameters.equal(shared.expand(N, -1))


@pytest.mark.parametrize("space", SPACES)
def test_samples_are_grouped_by_task_and_keep_what_was_seen_done_and_paid(space):
    sampler, algorithm, trial = adaptation(space=space)
    episode, _ = sampler.run(algorithm, trial)
    samples = algorithm.samples(episode, N)
    for ours, recorded in [
        (samples.obs, episode.step.obs),
        (samples.action, episode.action),
        (samples.reward, episode.reward),
        (samples.mask, episode.step.active),
    ]:
        for n in range(N):
            rows = recorded[:, 4 * n : 4 * n + 4]
            assert ours[n].equal(rows.reshape(-1, *rows.shape[2:]))
    mean = (samples.advantage * samples.mask).sum(1) / samples.mask.sum(1)
    square = (samples.advantage.square() * samples.mask).sum(1) / samples.mask.sum(1)
    assert_close(mean, torch.zeros(N), atol=1e-6, rtol=0)
    assert_close(square, torch.ones(N), atol=1e-4, rtol=0)


def test_samples_after_the_last_step_are_of_the_adapted_parameters():
    sampler, algorithm, trial = adaptation(steps=2)
    torch.manual_seed(3)
    batches, state, metrics = algorithm.collect(sampler, trial, and_after=True)
    again = tiny()
    trial = again.begin(algorithm, again.sample_tasks())
    torch.manual_seed(3)
    for samples in batches:
        episode, after = again.run(algorithm, trial)
        expected = algorithm.samples(episode, N)
        assert all(map(torch.equal, tree.leaves(samples), tree.leaves(expected)))
        last, trial = trial, after.adapt(algorithm, episode)
    assert state.parameters.equal(last.state.parameters) and state.steps_taken == 2
    assert list(metrics) == ["train/return_0", "train/return_1", "train/return_2"]
    assert_close(metrics["train/return_2"], float(episode.episode_return.mean()))


GRADIENT_METHODS = ["maml", "fomaml", "emaml", "cavia", "maesn", "llama", "promp", "reptile"]
SPARSE = ["env=point_semicircle", "env.horizon=15", "env.goal_radius=1", "env.tasks.num_test=2"]
FEW = ["algo.num_tasks=2", "algo.envs_per_task=3", "algo.meta_test.envs_per_task=3", "threads=1"]


def adapted_to(name, *settings):
    """Episodes that an algorithm learns from in an iteration, and in a meta-test."""
    run = assemble(compose("train", [*SPARSE, f"algo={name}", *FEW, *settings]))
    samples, episodes = run.algorithm.samples, []
    run.algorithm.samples = lambda episode, *rest: (
        episodes.append(episode) or samples(episode, *rest)
    )
    run.algorithm.train_step(run.training_sampler())
    trained, episodes[:] = list(episodes), []
    run.test("test", probe=False)
    return trained, episodes


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_dense_training_meta_trains_on_the_dense_reward_and_meta_tests_on_the_sparse(name):
    trained, tested = adapted_to(name, "algo.dense_training=true")
    assert len(trained) >= 2 and len(tested) >= 2
    for episode in trained:
        assert episode.reward.equal(episode.extras["info/reward_dense"])
        assert (episode.reward < 0).any()  # minus the distance
    for episode in tested:
        assert (episode.reward >= 0).all() and (episode.reward > 0).any()
        assert (episode.extras["info/reward_dense"] < 0).any()


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_without_it_the_sparse_reward_is_trained_on(name):
    for episode in (episode for part in adapted_to(name) for episode in part):
        assert (episode.reward >= 0).all()


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_dense_training_without_a_dense_reward_is_refused_in_one_line(name):
    settings = ["env=point_nav", "algo.dense_training=true", f"algo={name}"]
    run = assemble(compose("train", [*settings, *FEW]))
    with pytest.raises(UserError, match=r"^algo\.dense_training: [^\n]* no dense reward [^\n]*$"):
        run.algorithm.train_step(run.training_sampler())
