"""MAML's meta-gradient and Fisher product against plain differentiable code, in float64."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from helpers import tiny_sampler
from torch.func import functional_call
from torch.testing import assert_close

from metarl_cli.algorithms.maml.maml import MAML, Samples
from metarl_cli.core import tree
from metarl_cli.functional.policy_gradient import policy_gradient_loss
from metarl_cli.learners.trpo import TRPO
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.parameters import flatten_parameters, load_flat, unflatten
from metarl_cli.networks.recipe import Recipe

N, LR = 3, 0.3
SPACES = [("vector", "continuous"), ("discrete", "discrete")]
every_space = pytest.mark.parametrize("space", SPACES, ids=["-".join(s) for s in SPACES])


def maml(sampler, **settings):
    torch.manual_seed(0)
    defaults = {
        "num_tasks": N,
        "envs_per_task": 4,
        "inner_steps": 1,
        "inner_lr": LR,
        "later_lr_ratio": 0.25,
        "first_order": False,
        "fisher_fraction": 1.0,
        "discount": 0.9,
        "gae_lambda": 1.0,
        "initial_std": 0.7,
        "trpo": TRPO(0.01, 10, 1e-5, 0.8, 15),
    }
    network = Recipe(functools.partial(MLP, [5], "tanh"))
    return MAML(**(defaults | settings), spec=sampler.spec, network=network)


def tiny(space=SPACES[0], **env):
    ends = [2, 9, 9, 9, 9, 3, 9, 9, 9, 9, 9, 1]
    defaults = {"obs": space[0], "action": space[1], "num_envs": 4 * N, "ends": ends}
    return tiny_sampler(**(defaults | env))


def double(tree_):
    return tree.tree_map(lambda x: x.double() if x.is_floating_point() else x, tree_)


def recorded(space, inner_steps, **settings):
    """An algorithm in float64, its support samples per inner step and its query samples."""
    sampler = tiny(space)
    recorder = maml(sampler, inner_steps=inner_steps + 1)
    trial = sampler.begin(recorder, sampler.sample_tasks())
    for _ in range(inner_steps + 1):
        episode, trial = sampler.run(recorder, trial)
        trial = trial.adapt(recorder, episode)
    *support, query = map(double, trial.state.support)
    algorithm = maml(sampler, inner_steps=inner_steps, **settings)
    algorithm.policy.double()
    if space[0] == "discrete":  # one-hot features are float32 whatever the policy is
        algorithm.policy.encoder.register_forward_hook(lambda *args: args[2].double())
    return algorithm, support, query


def policy_of_task(algorithm, parameters, samples, n):
    named = unflatten(algorithm.policy, parameters)
    return functional_call(algorithm.policy, named, (samples.obs[n],))


def adapted_by_brute_force(algorithm, theta, support, n):
    """Explicit differentiable inner steps of task n, with parameters of that task alone."""
    for samples in support:
        log_prob = policy_of_task(algorithm, theta, samples, n).log_prob(samples.action[n])
        weight = samples.advantage[n] * samples.mask[n] / samples.mask[n].sum()
        (gradient,) = torch.autograd.grad(-(log_prob * weight).sum(), theta, create_graph=True)
        theta = theta - LR * gradient
    return theta


def loss_by_brute_force(algorithm, theta, support, query):
    total = 0.0
    for n in range(N):
        adapted = adapted_by_brute_force(algorithm, theta, support, n)
        log_prob = policy_of_task(algorithm, adapted, query, n).log_prob(query.action[n])
        ratio = (log_prob - log_prob.detach()).exp()
        total -= (ratio * query.advantage[n] * query.mask[n]).sum() / query.mask[n].sum()
    return total / N


def mean_kl_by_brute_force(algorithm, theta, old, support, query):
    total = 0.0
    for n in range(N):
        adapted = adapted_by_brute_force(algorithm, theta, support, n)
        kl = old[n].kl(policy_of_task(algorithm, adapted, query, n))
        total += (kl * query.mask[n]).sum() / query.mask[n].sum()
    return total / N


class Spy:
    """Keeps what it was asked instead of stepping."""

    def step(self, parameters, **request):
        self.request = request | {"parameters": parameters}
        return parameters, {}


def request_of(algorithm, support, query):
    algorithm.trpo = spy = Spy()
    algorithm.meta_update(support, query)
    return spy.request


@every_space
@pytest.mark.parametrize("inner_steps", [1, 2])
def test_meta_gradient_equals_brute_force(space, inner_steps):
    algorithm, support, query = recorded(space, inner_steps)
    request = request_of(algorithm, support, query)
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    loss = loss_by_brute_force(algorithm, theta, support, query)
    (expected,) = torch.autograd.grad(loss, theta)
    assert expected.norm() > 0.01
    assert_close(request["loss"], loss.detach())
    assert_close(request["gradient"], expected)


@every_space
def test_first_order_gradient_is_that_at_the_adapted_parameters(space):
    algorithm, support, query = recorded(space, 1, first_order=True)
    gradient = request_of(algorithm, support, query)["gradient"]
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    expected = torch.zeros_like(theta)
    for n in range(N):
        adapted = adapted_by_brute_force(algorithm, theta, support, n).detach().requires_grad_()
        log_prob = policy_of_task(algorithm, adapted, query, n).log_prob(query.action[n])
        weight = query.advantage[n] * query.mask[n] / query.mask[n].sum() / N
        expected -= torch.autograd.grad((log_prob * weight).sum(), adapted)[0]
    assert_close(gradient, expected)
    algorithm.first_order = False
    exact = request_of(algorithm, support, query)["gradient"]
    assert (exact - gradient).norm() > 0.01 * exact.norm()


@every_space
@pytest.mark.parametrize("inner_steps", [1, 2])
def test_fisher_product_is_the_hessian_of_the_mean_divergence(space, inner_steps):
    algorithm, support, query = recorded(space, inner_steps)
    request = request_of(algorithm, support, query)
    theta = flatten_parameters(algorithm.policy).requires_grad_()
    old = [
        policy_of_task(
            algorithm, adapted_by_brute_force(algorithm, theta, support, n), query, n
        ).detach()
        for n in range(N)
    ]
    kl = mean_kl_by_brute_force(algorithm, theta, old, support, query)
    (gradient,) = torch.autograd.grad(kl, theta, create_graph=True)
    for seed in range(2):
        torch.manual_seed(seed)
        vector = torch.randn_like(theta)
        (expected,) = torch.autograd.grad(gradient, theta, vector, retain_graph=True)
        assert_close(request["fisher_product"](vector), expected)


@every_space
def test_line_search_sees_the_loss_and_divergence_after_adaptation_from_the_candidate(space):
    algorithm, support, query = recorded(space, 2)
    request = request_of(algorithm, support, query)
    theta = request["parameters"]
    loss, kl = request["loss_and_kl"](theta)
    assert_close(loss, request["loss"])
    assert_close(kl, torch.zeros_like(kl), atol=1e-12, rtol=0)
    torch.manual_seed(0)
    direction = torch.randn_like(theta)
    ahead, ahead_kl = request["loss_and_kl"](theta + 1e-5 * direction)
    behind, _ = request["loss_and_kl"](theta - 1e-5 * direction)
    slope = request["gradient"] @ direction
    assert_close((ahead - behind) / 2e-5, slope, rtol=1e-5, atol=1e-7)
    curvature = direction @ request["fisher_product"](direction)
    assert_close(ahead_kl, 0.5e-10 * curvature, rtol=1e-3, atol=1e-15)


@every_space
def test_meta_update_lowers_the_loss_within_the_trust_region(space):
    algorithm, support, query = recorded(space, 1)
    theta = flatten_parameters(algorithm.policy)
    metrics = algorithm.meta_update(support, query)
    assert metrics["trpo/accepted"] == 1 and metrics["trpo/improvement"] > 0
    assert 0 < metrics["trpo/kl"] <= 0.01
    assert not flatten_parameters(algorithm.policy).equal(theta)


def test_a_share_of_the_samples_gives_a_product_near_the_full_one():
    algorithm, support, query = recorded(SPACES[0], 1)
    full = request_of(algorithm, support, query)["fisher_product"]
    algorithm.fisher_fraction = 0.5
    half = request_of(algorithm, support, query)["fisher_product"]
    vector = torch.ones_like(flatten_parameters(algorithm.policy))
    cosine = torch.cosine_similarity(full(vector), half(vector), dim=0)
    assert 0.8 < cosine < 1 - 1e-6


def test_share_takes_one_of_k_samples_from_all_environments():
    samples = Samples(*(torch.arange(18.0).expand(2, 18) for _ in range(4)))
    rows = samples.share(0.25).mask[0]
    assert rows.tolist() == [0, 5, 10, 15]
    assert (rows % 4).unique().numel() == 4  # with 4 environments per task: each of them
    assert samples.share(1.0).mask.equal(samples.mask)


def adaptation(inner_steps=1, **env):
    sampler = tiny(**env)
    algorithm = maml(sampler, inner_steps=inner_steps)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    return sampler, algorithm, trial


def step_size(algorithm, episode, before, after):
    """Ratio of the change of parameters to the gradient of the samples adapted to."""
    anew = replace(before, steps_taken=0)  # samples of trained steps are kept
    samples = algorithm.adapt(anew, episode).support[-1]
    leaf = before.parameters.detach().clone().requires_grad_()
    log_prob = algorithm.distribution(leaf, samples.obs).log_prob(samples.action)
    loss = policy_gradient_loss(log_prob, samples.advantage, samples.mask)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    change = before.parameters - after.parameters
    return (change * gradient).sum(1) / gradient.square().sum(1)


def test_steps_beyond_those_trained_for_are_smaller():
    sampler, algorithm, trial = adaptation(inner_steps=2)
    sizes = []
    for _ in range(4):
        episode, trial = sampler.run(algorithm, trial)
        before, trial = trial.state, trial.adapt(algorithm, episode)
        sizes.append(step_size(algorithm, episode, before, trial.state))
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
    assert trial.state.parameters.equal(shared.expand(N, -1)) and trial.state.support == ()
    load_flat(algorithm.policy, shared + 1)
    assert trial.state.parameters.equal(shared.expand(N, -1))


def test_fisher_product_is_symmetric_and_positive():
    algorithm, support, query = recorded(SPACES[0], 1)
    theta = flatten_parameters(algorithm.policy)
    product = request_of(algorithm, support, query)["fisher_product"]
    torch.manual_seed(0)
    u, v = torch.randn_like(theta), torch.randn_like(theta)
    assert_close(u @ product(v), v @ product(u))
    assert u @ product(u) > 0


@pytest.mark.parametrize(
    ("name", "value"), [("inner_steps", 0), ("fisher_fraction", 0), ("inner_lr", -1)]
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        maml(tiny(), **{name: value})
