import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory
from metarl_cli.functional.returns import gae, last_step_trace, trial_gae
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe
from metarl_cli.networks.recurrent_actor_critic import RecurrentActorCritic

SETTINGS = {
    "learning_rate": 0.01,
    "clip": 0.2,
    "epochs": 3,
    "num_minibatches": 2,
    "discount": 0.9,
    "gae_lambda": 0.95,
    "value_coef": 0.5,
    "entropy_coef": 0.01,
    "max_grad_norm": 0.5,
    "learning_rate_decay": 1.0,
}
ACTIONS = {"continuous": Box(-1, 1, (2,), np.float32), "discrete": Discrete(3)}
every_action = pytest.mark.parametrize("kind", ACTIONS)


def model(kind, seed=0):
    torch.manual_seed(seed)
    spec = EnvSpec(Box(-1, 1, (2,), np.float32), ACTIONS[kind], Box(-1, 1, (1,)), horizon=4)
    network = Recipe(functools.partial(MLP, [6], "tanh"))
    return ActorCritic(spec, network, initial_std=1.0).double()


def steps(obs, action, reward, **changes):
    """Recorded steps `[T, B]`, all active and final, of agents that remember nothing."""
    ones, zeros = torch.ones_like(reward), torch.zeros_like(reward)
    step = TimeStep(obs, torch.zeros_like(action), zeros, zeros, ones, zeros.unsqueeze(-1))
    return replace(Trajectory(step, action, reward, obs, ones), **changes)


def rollout(kind, num=4, envs=5):
    """Noise; the first environment's episode terminates after two steps."""
    generator = torch.Generator().manual_seed(7)

    def normal(*more):
        return torch.randn(num, envs, *more, generator=generator, dtype=torch.float64)

    discrete = torch.randint(3, (num, envs), generator=generator)
    action = normal(2) if kind == "continuous" else discrete
    terminated, active = torch.zeros(num, envs).double(), torch.ones(num, envs).double()
    terminated[1, 0] = 1
    active[2:, 0] = 0
    data = steps(normal(2), action, normal() * active, next_obs=normal(2), terminated=terminated)
    data.step.active = active
    return data


def of_episodes(ppo, net, data, value):
    """Advantages of single episodes, which may go on after they were cut."""
    with torch.no_grad():
        next_value = net.value(net.features(data.next_obs))
    discount = ppo.discount * (1 - data.terminated)
    trace = last_step_trace(data.step.active, ppo.gae_lambda)
    return gae(data.reward, discount, value, next_value, trace) * data.step.active


def of_trials(ppo, net, data, value):
    """Advantages of whole trials, whose end is final."""
    return trial_gae(data.reward, value, data.step.active, ppo.discount, ppo.gae_lambda)


def improve(ppo, net, step, data, advantages=of_episodes):
    old = ppo.assess(net, data)
    return ppo.update(net, step, data, old, advantages(ppo, net, data, old.value))


def update(net, data, advantages=of_episodes, **settings):
    ppo = PPO(**(SETTINGS | settings))
    torch.manual_seed(3)  # the order of minibatches
    return improve(ppo, net, ppo.gradient_step(net), data, advantages)


def learned(net, record, advantages=of_trials, updates=20):
    """Improve `net` on what it does, again and again; return the last of it."""
    ppo = PPO(**(SETTINGS | {"entropy_coef": 0.0, "learning_rate": 0.03}))
    step = ppo.gradient_step(net)
    for _ in range(updates):
        data = record(net)
        metrics = improve(ppo, net, step, data, advantages)
    return data, metrics


@every_action
def test_samples_after_the_end_of_an_episode_do_not_matter_to_the_networks(kind):
    data, other = rollout(kind), rollout(kind)
    other.reward[2:, 0] = 0
    other.action[2:, 0] = 5.0 if kind == "continuous" else 0
    first, second = model(kind), model(kind)
    update(first, data)
    update(second, other)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert ours.equal(theirs)


def test_value_after_termination_does_not_matter():
    data, other = rollout("discrete"), rollout("discrete")
    other.next_obs[1, 0] = 100.0
    first, second = model("discrete"), model("discrete")
    update(first, data)
    update(second, other)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert ours.equal(theirs)


def test_learning_rate_decays_with_every_update_and_belongs_to_the_optimizers_state():
    net = model("discrete")
    ppo = PPO(**(SETTINGS | {"learning_rate": 0.08, "learning_rate_decay": 0.5}))
    step = ppo.gradient_step(net)
    for _ in range(2):
        improve(ppo, net, step, rollout("discrete"))
    resumed = ppo.gradient_step(net)
    resumed.load_state_dict(step.state_dict())
    improve(ppo, net, resumed, rollout("discrete"))
    assert resumed.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_what_is_assessed_is_the_policy_that_has_taken_in_the_new_inputs():
    net, data = model("continuous"), rollout("continuous")
    data.step.obs.mul_(7.0)
    old = PPO(**SETTINGS).assess(net, data)
    assert net.inputs.count == data.step.active.sum() == 18
    said = net.evaluate(net.samples(data))
    assert_close(old.log_prob, said.log_prob.view(4, 5))
    assert_close(old.value, net.value(net.features(data.step.obs)))


def test_samples_carry_whitened_advantages_and_standardised_targets():
    net, data, ppo = model("discrete"), rollout("discrete"), PPO(**SETTINGS)
    old, seen = ppo.assess(net, data), data.step.active.flatten() > 0
    advantage = torch.randn_like(data.reward) * data.step.active
    samples = ppo.with_targets(net, data, old, advantage)
    assert samples.extras["old_log_prob"].equal(old.log_prob.flatten())
    for name in ("advantage", "target"):
        numbers = samples.extras[name][seen]
        assert_close(numbers.mean(), torch.zeros(()).double(), atol=1e-6, rtol=0)
        assert_close(numbers.std(correction=0), torch.ones(()).double(), atol=1e-4, rtol=0)
    returns = (advantage + old.value).flatten()[seen]
    assert_close(net.returns.mean.item(), returns.mean().item())
    assert data.extras == {}


def test_minibatches_are_all_samples_shuffled_anew_in_every_epoch():
    ppo = PPO(**(SETTINGS | {"epochs": 2, "num_minibatches": 3}))
    torch.manual_seed(0)
    rows = torch.stack(list(ppo.minibatches(6, torch.device("cpu"))))  # [2 * 3, 2]
    first, second = rows[:3].flatten(), rows[3:].flatten()
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(6))
    assert not first.equal(second)


def test_policy_learns_the_better_arm_of_a_bandit():
    obs = torch.zeros(1, 32, 2).double()

    def record(net):
        with torch.no_grad():
            action = net.distribution(obs).sample()
        return steps(obs, action, (action == 2).double())

    net = model("discrete")
    _, metrics = learned(net, record, of_episodes)
    assert net.distribution(obs).log_probs.exp()[0, 0, 2] > 0.9
    assert metrics["ppo/entropy"] < 0.5


def trials_of_two_episodes(net, envs=32):
    """Episodes of one step; what is done in the first decides what the second pays."""
    obs = torch.eye(2).double().view(2, 1, 2).expand(2, envs, 2)
    with torch.no_grad():
        action = net.distribution(obs).sample()
    return steps(obs, action, torch.stack([torch.zeros(envs), action[0] == 2]).double())


def test_value_of_a_whole_trial_crosses_the_ends_of_its_episodes():
    net = model("discrete")
    data, _ = learned(net, trials_of_two_episodes)
    assert net.distribution(data.step.obs[0]).log_probs.exp()[0, 2] > 0.9


def test_value_of_separate_episodes_does_not():
    net = model("discrete")
    data, _ = learned(net, trials_of_two_episodes, of_episodes)
    assert net.distribution(data.step.obs[0]).log_probs.exp()[0, 2] < 0.5


def test_a_trial_of_one_episode_is_learned_from_like_an_episode():
    data = rollout("continuous")
    data.step.active[:], data.terminated[:] = 1, 0
    data.terminated[-1] = 1
    data.next_obs = torch.cat([data.step.obs[1:], data.step.obs[:1]])
    first, second = model("continuous"), model("continuous")
    update(first, data, of_episodes)
    update(second, data, of_trials)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert_close(ours, theirs)


def remembering():
    torch.manual_seed(0)
    spec = EnvSpec(Box(-1, 1, (2,), np.float32), Discrete(2), Box(-1, 1, (1,)), horizon=2)
    network = Recipe(functools.partial(GRU, 8, 8))
    return RecurrentActorCritic(spec, network, initial_std=1.0).double()


@torch.no_grad()
def trials_with_a_cue(net, envs=32):
    """The first step shows a number, the second pays for repeating it."""
    cue = torch.randint(2, (envs,))
    obs = torch.zeros(2, envs, 2).double()
    obs[0] = torch.nn.functional.one_hot(cue, 2)
    data = steps(obs, torch.zeros(2, envs).long(), torch.zeros(2, envs).double())
    state = net.memory.initial_state(envs)
    for t in range(2):
        distribution, state = net.step(tree.index(data.step, t), state)
        data.action[t] = distribution.sample()
    data.reward[1] = (data.action[1] == cue).double()
    return data


def test_policy_with_memory_learns_to_act_on_what_it_was_shown_before():
    data, _ = learned(remembering(), trials_with_a_cue, updates=25)
    assert data.reward[1].mean() > 0.9


def test_minibatches_of_a_policy_with_memory_are_whole_trials():
    net, shapes = remembering(), []
    data, evaluate = trials_with_a_cue(net, envs=6), net.evaluate

    def watched(samples):
        shapes.append(tuple(samples.reward.shape))
        return evaluate(samples)

    net.evaluate = watched
    update(net, data, of_trials, epochs=1, num_minibatches=3)
    assert shapes == [(6, 2)] + [(2, 2)] * 3 + [(6, 2)]  # before, minibatches, after


def test_critic_learns_the_returns():
    net, noise = model("continuous"), rollout("continuous")
    data = steps(noise.step.obs, noise.action, 10 * noise.step.obs[..., 0] - 300)
    metrics = update(net, data, epochs=200, max_grad_norm=10.0)
    assert metrics["ppo/explained_variance"] > 0.95
    assert_close(net.value(net.features(data.step.obs)), data.reward, atol=5.0, rtol=0)


def test_what_else_a_model_minimises_is_part_of_the_loss():
    net, data = model("discrete"), rollout("discrete")
    extra = torch.nn.Parameter(torch.tensor([4.0]).double())
    net.register_parameter("extra", extra)
    evaluate = net.evaluate
    net.evaluate = lambda samples: evaluate(samples)._replace(auxiliary=extra.square().sum())
    metrics = update(net, data, epochs=1, num_minibatches=1)
    assert metrics["ppo/auxiliary_loss"] == 16.0 and extra < 4.0


def test_more_minibatches_than_samples_is_one_sample_each():
    data = rollout("discrete")
    metrics = update(model("discrete"), data, epochs=2, num_minibatches=1000)
    assert np.isfinite(list(metrics.values())).all()
    assert metrics["ppo/gradient_steps"] == 2 * data.reward.numel()


def test_non_finite_reward_is_noticed():
    data = rollout("continuous")
    data.reward[0, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="PPO"):
        update(model("continuous"), data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0),
        ("clip", -0.1),
        ("max_grad_norm", 0),
        ("epochs", 0),
        ("num_minibatches", 0),
        ("discount", 1.1),
        ("gae_lambda", -0.1),
        ("learning_rate_decay", 0),
        ("learning_rate_decay", 1.1),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        PPO(**(SETTINGS | {name: value}))
