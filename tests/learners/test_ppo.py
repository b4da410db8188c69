import copy
import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.types import EnvSpec
from metarl_cli.learners.ppo import PPO, Rollout, clip_by_group
from metarl_cli.networks.actor_critic import ActorCritic, stack_copies
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recurrent import RecurrentActorCritic

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
}
ACTIONS = {"continuous": Box(-1, 1, (2,), np.float32), "discrete": Discrete(3)}
every_action = pytest.mark.parametrize("kind", ACTIONS)


def model(kind, seed=0):
    torch.manual_seed(seed)
    spec = EnvSpec(Box(-1, 1, (2,), np.float32), ACTIONS[kind], Box(-1, 1, (1,)), horizon=4)
    return ActorCritic(spec, functools.partial(MLP, [6], "tanh"), initial_std=1.0).double()


def rollout(kind, groups, steps=4, envs=5):
    generator = torch.Generator().manual_seed(7)
    shape = (steps, groups, envs)

    def normal(*more):
        return torch.randn(*shape, *more, generator=generator, dtype=torch.float64)

    discrete = torch.randint(3, shape, generator=generator)
    terminated, active = torch.zeros(2, *shape, dtype=torch.float64).unbind(0)
    terminated[1, :, 0] = 1
    active[:] = 1
    active[2:, :, 0] = 0
    return Rollout(
        features=normal(2),
        next_features=normal(2),
        action=normal(2) if kind == "continuous" else discrete,
        reward=normal() * active * torch.arange(1.0, groups + 1).view(1, groups, 1) ** 4,
        terminated=terminated,
        active=active,
    )


def trials_of_two_episodes(net, envs=32):
    """Episodes of one step; what is done in the first decides what the second pays."""
    features = torch.eye(2).double().view(2, 1, 1, 2).expand(2, 1, envs, 2)
    ones = torch.ones(2, 1, envs).double()
    with torch.no_grad():
        action = net.distribution(features).sample()
    reward = torch.stack([torch.zeros(1, envs), action[0] == 2]).double()
    return Rollout(features, action, reward, active=ones, terminated=ones)


def learned(net, record, updates=20, **settings):
    """Improve `net` on one rollout after another; return the last."""
    ppo = PPO(**(SETTINGS | {"entropy_coef": 0.0, "learning_rate": 0.03} | settings))
    optimizer = ppo.optimizer(net)
    for _ in range(updates):
        data = record(net)
        ppo.update(net, optimizer, data)
    return data


def update(net, data, **settings):
    ppo = PPO(**(SETTINGS | settings))
    torch.manual_seed(3)  # the order of minibatches
    return ppo.update(net, ppo.optimizer(net), data)


@every_action
def test_groups_learn_side_by_side_as_each_would_alone(kind):
    alone = [model(kind, seed) for seed in (0, 1)]
    together = stack_copies(copy.deepcopy(alone[0]), 2)
    with torch.no_grad():
        for stacked, other in zip(together.parameters(), alone[1].parameters(), strict=True):
            stacked[1] = other
    data = rollout(kind, groups=2)
    update(together, data)
    for group, net in enumerate(alone):
        update(net, tree.tree_map(lambda x, g=group: x[:, g : g + 1], data))
        row = {name: value[group] for name, value in together.state_dict().items()}
        for name, value in net.state_dict().items():
            assert_close(row[name], value, msg=lambda text, name=name: f"{name}: {text}")


@every_action
def test_samples_after_the_end_of_an_episode_do_not_matter_to_the_networks(kind):
    data, other = rollout(kind, groups=1), rollout(kind, groups=1)
    other.reward[2:, :, 0] = 0
    if kind == "continuous":
        other.action[2:, :, 0] = 5.0
    else:
        other.action[2:, :, 0] = 0
    first, second = model(kind), model(kind)
    update(first, data)
    update(second, other)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert ours.equal(theirs)


def test_value_after_termination_does_not_matter():
    data, other = rollout("discrete", groups=1), rollout("discrete", groups=1)
    other.next_features[1, :, 0] = 100.0
    first, second = model("discrete"), model("discrete")
    update(first, data)
    update(second, other)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert ours.equal(theirs)


def test_learning_rate_decays_with_every_update_and_belongs_to_the_optimizers_state():
    net = model("discrete")
    ppo = PPO(**(SETTINGS | {"learning_rate": 0.08, "learning_rate_decay": 0.5}))
    optimizer = ppo.optimizer(net)
    for _ in range(2):
        ppo.update(net, optimizer, rollout("discrete", groups=1))
    resumed = ppo.optimizer(net)
    resumed.load_state_dict(optimizer.state_dict())
    ppo.update(net, resumed, rollout("discrete", groups=1))
    assert resumed.param_groups[0]["lr"] == pytest.approx(0.01)


def test_policy_learns_the_better_arm_of_a_bandit():
    net = model("discrete")
    ppo = PPO(**(SETTINGS | {"entropy_coef": 0.0, "learning_rate": 0.03}))
    optimizer = ppo.optimizer(net)
    features, ones = torch.zeros(1, 1, 32, 2).double(), torch.ones(1, 1, 32).double()
    for _ in range(20):
        with torch.no_grad():
            action = net.distribution(features).sample()
        reward = (action == 2).double()
        data = Rollout(features, action, reward, ones, ones, next_features=features)
        metrics = ppo.update(net, optimizer, data)
    assert net.distribution(features).log_probs.exp()[0, 0, 0, 2] > 0.9
    assert metrics["ppo/entropy"] < 0.5


def test_value_of_a_whole_trial_crosses_the_ends_of_its_episodes():
    net = model("discrete")
    first = learned(net, trials_of_two_episodes).features[0]
    assert net.distribution(first).log_probs.exp()[0, 0, 2] > 0.9


def test_value_of_separate_episodes_does_not():
    def record(net):
        data = trials_of_two_episodes(net)
        data.next_features = data.features
        return data

    first = learned(net := model("discrete"), record).features[0]
    assert net.distribution(first).log_probs.exp()[0, 0, 2] < 0.5


def test_a_trial_of_one_episode_is_learned_from_like_an_episode():
    data, alike = rollout("continuous", groups=1), rollout("continuous", groups=1)
    for each in (data, alike):
        each.active[:], each.terminated[:] = 1, 0
        each.terminated[-1] = 1
    data.next_features = torch.cat([data.features[1:], data.features[:1]])
    alike.next_features = None
    first, second = model("continuous"), model("continuous")
    update(first, data)
    update(second, alike)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert_close(ours, theirs)


def remembering():
    torch.manual_seed(0)
    spec = EnvSpec(Box(-1, 1, (2,), np.float32), Discrete(2), Box(-1, 1, (1,)), horizon=2)
    network = functools.partial(GRU, 8, 8)
    return RecurrentActorCritic(spec, network, initial_std=1.0).double()


def trials_with_a_cue(net, envs=32):
    """The first step shows a number, the second pays for repeating it."""
    cue = torch.randint(2, (envs,))
    shown = torch.nn.functional.one_hot(cue, 2).double()
    features = torch.zeros(2, 1, envs, net.encoder.out_dim).double()
    features[0, 0, :, :2] = shown
    ones = torch.ones(2, 1, envs).double()
    with torch.no_grad():
        distribution, _, _ = net.evaluate(features.movedim(0, 2), ones.movedim(0, 2))
        action = distribution.sample().movedim(2, 0)
    reward = torch.stack([torch.zeros(1, envs), action[1] == cue]).double()
    return Rollout(features, action, reward, active=ones, terminated=torch.zeros_like(ones))


def test_policy_with_memory_learns_to_act_on_what_it_was_shown_before():
    data = learned(remembering(), trials_with_a_cue, updates=25)
    assert data.reward[1].mean() > 0.9


def test_minibatches_of_a_policy_with_memory_are_whole_trials():
    net, shapes = remembering(), []
    data, evaluate = trials_with_a_cue(net, envs=6), net.evaluate

    def watched(features, active):
        shapes.append(tuple(features.shape[:3]))
        return evaluate(features, active)

    net.evaluate = watched
    update(net, data, epochs=1, num_minibatches=3)
    assert shapes == [(1, 6, 2)] + [(1, 2, 2)] * 3 + [(1, 6, 2)]  # before, minibatches, after


def test_critic_learns_the_returns():
    net, data = model("continuous"), rollout("continuous", groups=1)
    data.reward = 10 * data.features[..., 0] - 300
    data.terminated = torch.ones_like(data.reward)
    data.active = torch.ones_like(data.reward)
    ppo = PPO(**(SETTINGS | {"epochs": 200, "max_grad_norm": 10.0}))
    metrics = ppo.update(net, ppo.optimizer(net), data)
    assert metrics["ppo/explained_variance"] > 0.95
    assert_close(net.value(data.features[:, 0]), data.reward[:, 0], atol=5.0, rtol=0)


def test_more_minibatches_than_samples_is_one_sample_each():
    data = rollout("discrete", groups=1)
    metrics = update(model("discrete"), data, epochs=2, num_minibatches=1000)
    assert np.isfinite(list(metrics.values())).all()
    assert metrics["ppo/gradient_steps"] == 2 * data.reward.numel()


def test_non_finite_reward_is_noticed():
    data = rollout("continuous", groups=1)
    data.reward[0, 0, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="PPO"):
        update(model("continuous"), data)


def test_gradient_norm_is_clipped_in_each_group_alone():
    parameters = [torch.zeros(2, 2, requires_grad=True), torch.zeros(2, 1, requires_grad=True)]
    parameters[0].grad = torch.tensor([[3.0, 0.0], [0.3, 0.0]])
    parameters[1].grad = torch.tensor([[4.0], [0.4]])
    norms = clip_by_group(parameters, groups=2, max_norm=1.0)
    assert_close(norms, torch.tensor([5.0, 0.5]))
    assert_close(parameters[0].grad, torch.tensor([[0.6, 0.0], [0.3, 0.0]]))
    assert_close(parameters[1].grad, torch.tensor([[0.8], [0.4]]))


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
