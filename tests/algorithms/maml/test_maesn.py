"""MAESN's latent variable: how it is drawn, what adapts it, and what is learned through it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from algorithms.maml.explicit import (
    SPACES,
    N,
    assert_same,
    construct,
    every_space,
    gradient_of,
    in_double,
    mean,
    policy_of,
    recorded,
    request_of,
    roughened,
    surrogate,
    tiny,
    walk,
)
from metarl_cli.algorithms.maml.agent import Samples
from metarl_cli.algorithms.maml.maesn import MAESN
from metarl_cli.core.errors import UserError
from metarl_cli.networks.mlp import Torso
from metarl_cli.networks.parameters import flatten_parameters, named_entries
from metarl_cli.networks.recipe import Recipe

NUM_TASKS, Z = 6, 2
LATENTS = ("latent_mean", "latent_log_std")


class NoTorso(Torso):
    """The policy is linear in its inputs."""

    kind = "feed-forward"

    def __init__(self, *, in_dim):
        super().__init__()
        self.out_dim = in_dim

    def forward(self, x):
        return x


def finite(space=SPACES[0], **settings):
    sampler = tiny(space, mode="finite")
    return sampler, construct(MAESN, sampler, **settings)


def omega_of(algorithm, rows):
    """Mean and logarithm of the deviation in rows of parameters `[N, P]`: `[N, 2 Z]`."""
    parts = [rows[:, named_entries(algorithm.policy, name).bool()] for name in LATENTS]
    return torch.cat(parts, -1)


def rest_of(algorithm, rows):
    return rows[..., ~named_entries(algorithm.policy, *LATENTS).bool()]


def test_step_on_one_sample_of_a_linear_gaussian_policy_by_hand():
    """z = .3 + 2 * .7: the score of mu is .7 / 2, times sigma^2 1.4; of log sigma .49 - 1 = -.51.

    With gain 2 the loss has derivatives -2.8 and 1.02; step sizes are .1 and .01.
    """
    algorithm = construct(MAESN, tiny(), network=Recipe(NoTorso), latent_dim=1, initial_std=0.5)
    in_double(algorithm)
    algorithm.place = algorithm.place.double()
    head = algorithm.policy.head
    with torch.no_grad():
        head.mean.weight.copy_(torch.tensor([[3.0, 4.0, 0.5], [5.0, 6.0, -1.0]]))
        head.mean.bias.zero_()
        head.log_std.copy_(torch.tensor([0.5, 0.5]).double().log())
        algorithm.policy.latent_mean.fill_(0.3)
        algorithm.policy.latent_log_std.copy_(torch.tensor([2.0]).double().log())
        algorithm.table.log_step_size.copy_(torch.tensor([0.1, 0.01]).double().log())
    state = algorithm.initial_state(1, 1)
    one = torch.ones(1, 1, dtype=torch.float64)
    seen = {"obs": torch.zeros(1, 1, 2).double(), "noise": 0.7 * one.unsqueeze(-1)}
    action = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64)
    samples = Samples(seen, action, 5 * one, one, one, {"gain": 2 * one})
    after = algorithm.adapt_to(state, samples).parameters
    expected = torch.tensor([[0.3 + 0.28, 2.0]]).double()
    expected[0, 1] = expected[0, 1].log() - 0.0102
    assert_close(omega_of(algorithm, after), expected, rtol=1e-6, atol=0)
    assert rest_of(algorithm, after).equal(rest_of(algorithm, state.parameters))


@every_space
def test_noise_is_recorded_constant_within_an_episode_and_new_in_the_next(space):
    sampler, algorithm = finite(space)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    both, trial = sampler.run(algorithm, trial, episodes=2)
    third, _ = sampler.run(algorithm, trial.adapt(algorithm, both.episodes()[1]))
    noises = [episode.extras["noise"] for episode in (*both.episodes(), third)]
    for noise in noises:
        assert noise.shape == (4, 12, Z)
        assert noise.eq(noise[0]).all()
        assert noise[0].unique().numel() == 12 * Z  # every environment has its own
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        assert not noises[earlier].eq(noises[later]).any()


def test_rows_whose_episode_goes_on_keep_their_noise():
    sampler, algorithm = finite()
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    episode, trial = sampler.run(algorithm, trial)
    step = replace(episode.step, obs=episode.step.obs[0], first=torch.arange(12) % 2)
    before = trial.state.noise
    after = algorithm.act(trial.state, step, explore=True).state.noise
    assert after[::2].equal(before[::2]) and not after[1::2].eq(before[1::2]).any()


def test_actions_follow_the_latent_variable_of_their_episode():
    sampler, algorithm = finite(initial_std=1e-6)  # so that actions are their means
    roughened(algorithm)
    torch.nn.init.constant_(algorithm.policy.head.log_std, -20)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    episode, _ = sampler.run(algorithm, trial)
    seen = {"obs": episode.step.obs, "noise": episode.extras["noise"]}
    expected = algorithm.policy(seen).mean
    assert_close(episode.action, expected.detach(), rtol=1e-4, atol=1e-5)
    silent = algorithm.policy(seen | {"noise": torch.zeros_like(seen["noise"])}).mean
    assert (silent - expected).abs().max() > 0.1


@every_space
def test_greedy_actions_are_those_of_the_latent_mean(space):
    sampler, algorithm = finite(space)
    roughened(algorithm)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    _, trial = sampler.run(algorithm, trial)  # leaves noise behind
    episode, _ = sampler.run(algorithm, trial, explore=False)
    assert episode.extras["noise"].eq(0).all()
    seen = {"obs": episode.step.obs, "noise": torch.zeros(4, 12, Z)}
    assert_close(episode.action, algorithm.policy(seen).mode().detach())
    before = algorithm.policy(seen)
    torch.nn.init.constant_(algorithm.policy.latent_log_std, 3.0)  # plays no part
    assert_close(algorithm.policy(seen).mode(), before.mode())


@every_space
def test_adapt_changes_the_latent_variable_and_no_bit_of_the_policy(space):
    sampler, algorithm = finite(space)
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    start = flatten_parameters(algorithm.policy)
    for _ in range(3):
        episode, trial = sampler.run(algorithm, trial)
        before, trial = trial.state.parameters, trial.adapt(algorithm, episode)
        assert not omega_of(algorithm, before).eq(omega_of(algorithm, trial.state.parameters)).any()
        for row in trial.state.parameters:
            assert rest_of(algorithm, row).equal(rest_of(algorithm, start))
    assert flatten_parameters(algorithm.policy).equal(start)


def test_gain_is_the_standardised_return_of_the_episode_that_a_step_is_from():
    sampler, algorithm = finite()
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    episode, _ = sampler.run(algorithm, trial)
    gain = algorithm.samples(episode, N).extras["gain"].unflatten(1, (4, 4))  # [N, T, E]
    discount = 0.9 ** torch.arange(4.0).unsqueeze(1)
    returns = (discount * episode.reward).sum(0).view(N, 4)
    spread = returns.std(1, correction=0, keepdim=True)
    expected = (returns - returns.mean(1, keepdim=True)) / spread
    assert_close(gain, expected.unsqueeze(1).expand(N, 4, 4), rtol=1e-4, atol=1e-5)


def split(algorithm, theta):
    """The policy's parameters, omega of all tasks and the logarithms of step sizes."""
    num = flatten_parameters(algorithm.policy).numel()
    policy, omega, log_step_size = theta.split([num, NUM_TASKS * 2 * Z, 2 * Z])
    return policy, omega.view(NUM_TASKS, 2 * Z), log_step_size


def named(omega):
    return dict(zip(LATENTS, omega.chunk(2), strict=True))


def loss_by_brute_force(algorithm, theta, batch):
    policy, omega, log_step_size = split(algorithm, theta)
    total = 0.0
    for n, i in enumerate(batch.index.tolist()):

        def inner(point, k, n=n):
            samples, (mean_, log_std_) = batch.support[k], point.chunk(2)
            noise, gain = samples.obs["noise"][n], samples.extras["gain"][n]
            score = log_std_.exp().detach() * noise * mean_ + (noise**2 - 1) * log_std_
            return -mean(score.sum(-1) * gain, samples, n)

        point = walk(omega[i], len(batch.support), inner, step_size=log_step_size.exp())[-1]
        adapted = policy_of(algorithm, policy, batch.query, n, **named(point))
        centre, log_std = omega[i].chunk(2)
        divergence = (0.5 * ((2 * log_std).exp() + centre**2 - 1) - log_std).sum()
        total += surrogate(adapted, batch.query, n) + algorithm.kl_weight * divergence
    return total / N


@every_space
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("index", [None, [2, 2, 0]], ids=["as drawn", "one task twice"])
def test_meta_gradient_equals_brute_force(space, steps, index):
    algorithm, batch = recorded(MAESN, space, steps, kl_weight=0.3)
    if index is not None:
        batch = replace(batch, index=torch.tensor(index))
    request = request_of(algorithm, batch)
    value, expected = gradient_of(
        lambda theta: loss_by_brute_force(algorithm, theta, batch), algorithm.meta_parameters()
    )
    assert_close(request["loss"], value)
    parts = zip(split(algorithm, request["gradient"]), split(algorithm, expected), strict=True)
    for ours, theirs in parts:
        assert_same(ours, theirs)
    assert split(algorithm, expected)[2].ne(0).all()


def test_step_sizes_stay_unless_they_are_to_be_learned():
    algorithm, batch = recorded(MAESN, learn_step_size=False)
    assert split(algorithm, request_of(algorithm, batch)["gradient"])[2].eq(0).all()


def test_only_the_latent_parameters_of_tasks_in_the_batch_have_a_gradient():
    algorithm, batch = recorded(MAESN)
    gradient = request_of(algorithm, batch)["gradient"]
    policy, omega, _ = split(algorithm, gradient)
    here = set(batch.index.tolist())
    assert len(here) == N
    for i in range(NUM_TASKS):
        assert omega[i].eq(0).all() if i not in here else omega[i].ne(0).all()
    assert omega_of(algorithm, policy.unsqueeze(0)).eq(0).all()  # the prior stays


def test_tasks_begin_with_what_they_kept_and_only_those_in_the_batch_learn():
    sampler, algorithm = finite()
    roughened(algorithm)
    tasks = tiny(mode="finite").sample_tasks()
    collect, states = algorithm.collect, []
    algorithm.collect = lambda sampler, trial, **how: (
        states.append(trial.state) or collect(sampler, trial, **how)
    )
    before, steps = (x.detach().clone() for x in algorithm.table.parameters())
    assert algorithm.train_step(sampler)["trpo/accepted"] == 1
    assert_close(omega_of(algorithm, states[0].parameters), before[tasks.index], rtol=0, atol=0)
    moved = (algorithm.table.omega != before).any(1)
    assert set(moved.nonzero().flatten().tolist()) == set(tasks.index.tolist())
    assert not algorithm.table.log_step_size.eq(steps).any()


def test_new_tasks_begin_at_the_prior_with_the_step_sizes_that_were_learned():
    sampler, algorithm = finite()
    for _ in range(3):
        algorithm.train_step(sampler)
    assert not algorithm.table.omega.eq(0).all()
    trial = sampler.begin(algorithm, sampler.sample_tasks("test"))
    assert omega_of(algorithm, trial.state.parameters).eq(0).all()  # mean 0, deviation e^0
    learned = flatten_parameters(algorithm.policy)
    assert trial.state.parameters.equal(learned.expand(N, -1))
    sizes = omega_of(algorithm, algorithm.step_size().unsqueeze(0))[0]
    assert_close(sizes, algorithm.table.log_step_size.exp().detach())


@pytest.mark.parametrize("settings", [{"mode": "fresh"}, {"mode": "finite", "train_tasks": 2}])
def test_tasks_without_a_row_of_their_own_are_refused_in_one_line(settings):
    sampler = tiny(mode=settings.pop("mode"))
    algorithm = construct(MAESN, sampler, **settings)
    with pytest.raises(UserError, match=r"^algo\.train_tasks: [^\n]*finite training set[^\n]*$"):
        algorithm.train_step(sampler)
