import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from metarl_cli.core.types import EnvSpec
from metarl_cli.learners.sac import SAC, Batch
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe
from metarl_cli.networks.soft_actor_critic import SoftActorCritic

SETTINGS = {
    "learning_rate": 0.01,
    "discount": 0.9,
    "target_rate": 0.1,
    "reward_scale": 1.0,
    "temperature": 0.01,
    "tuned": False,
    "policy_penalty": 0.0,
    "precision": "float32",
}
SPEC = EnvSpec(
    observation=Box(-1, 1, (1,), np.float32),
    action=Box(-2, 6, (1,), np.float32),
    task=Box(-1, 1, (1,)),
    horizon=4,
)


NETWORK = Recipe(functools.partial(MLP, [16], "tanh"))


def model(**settings):
    torch.manual_seed(0)
    temperature = (SETTINGS | settings)["temperature"]
    return SoftActorCritic(SPEC, NETWORK, in_dim=1, temperature=temperature)


def experience(num=64, reward=None, terminated=1.0):
    """Steps from random states; the reward is best where the action equals the state."""
    state, action = 2 * torch.rand(num, 1) - 1, 2 * torch.rand(num, 1) - 1
    best = -(action - state).square().squeeze(-1)
    return Batch(
        inputs=state,
        next_inputs=state,
        action=action,
        reward=best if reward is None else torch.full((num,), reward),
        terminated=torch.full((num,), terminated),
    )


def trained(steps, data=experience, **settings):
    sac, it = SAC(**(SETTINGS | settings)), model(**settings)
    step = sac.gradient_step(it)
    for _ in range(steps):
        losses, terms = sac.losses(it, data())
        step.apply(*losses.values())
        it.follow(sac.target_rate)
    return it, terms


def test_policy_finds_the_action_that_pays_best_in_each_state():
    it, _ = trained(600)
    state = torch.linspace(-0.8, 0.8, 5).unsqueeze(-1)
    with torch.no_grad():
        assert (it.policy(state).mode() - state).abs().max() < 0.15


def test_critics_learn_the_discounted_sum_of_rewards():
    it, _ = trained(
        400, lambda: experience(reward=1.0, terminated=0.0), temperature=1e-6, discount=0.5
    )
    state = torch.zeros(8, 1)
    with torch.no_grad():
        q = it.q(state, torch.linspace(-0.9, 0.9, 8).unsqueeze(-1))
    assert q.shape == (2, 8) and (q - 2.0).abs().max() < 0.2  # 1 / (1 - 0.5)


def test_tuned_temperature_brings_the_entropy_to_minus_the_action_dimensions():
    _, terms = trained(400, tuned=True, temperature=0.1)
    assert abs(float(terms["entropy"]) + 1) < 0.3


def test_gradient_of_the_policy_reaches_the_policy_alone():
    it = model()
    data = experience()
    data.inputs.requires_grad_()
    SAC(**SETTINGS).losses(it, data)[0]["policy_loss"].backward()
    assert data.inputs.grad is None
    assert all(p.grad is None for p in it.critic.parameters())
    assert all(p.grad is not None for p in it.policy.parameters())


def test_gradient_of_the_critics_reaches_what_they_are_told_and_no_target():
    it = model()
    data = experience()
    data.inputs.requires_grad_()
    SAC(**SETTINGS).losses(it, data)[0]["critic_loss"].backward()
    assert data.inputs.grad.abs().sum() > 0
    assert all(p.grad is None for p in (*it.policy.parameters(), *it.target.parameters()))


def test_twin_critics_start_apart_and_targets_follow_them():
    it = model()
    x, action = torch.ones(3, 1), torch.zeros(3, 1)
    assert not it.q(x, action)[0].equal(it.q(x, action)[1])
    with torch.no_grad():
        for p in it.critic.parameters():
            p += 1.0
    before = [p.clone() for p in it.target.parameters()]
    it.follow(0.25)
    for old, new in zip(before, it.target.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.25)


def test_actions_fill_the_bounds_of_the_environment():
    bounds = model().bounds
    squashed = torch.tensor([[-1.0], [0.0], [1.0]])
    assert bounds.to_env(squashed).flatten().tolist() == [-2.0, 2.0, 6.0]
    torch.testing.assert_close(bounds.from_env(bounds.to_env(squashed)), squashed)


@pytest.mark.parametrize("tuned", [False, True])
def test_temperature_learns_only_if_it_is_tuned(tuned):
    it, sac = model(), SAC(**(SETTINGS | {"tuned": tuned}))
    losses, terms = sac.losses(it, experience())
    assert ("temperature_loss" in losses) == tuned
    assert terms["temperature"] == it.log_temperature.exp()
    before = it.log_temperature.clone()
    sac.gradient_step(it).apply(*losses.values())
    assert it.log_temperature.equal(before) != tuned


def test_low_precision_gives_nearly_the_same_losses_and_gradients():
    it, data = model(), experience()
    found = []
    for precision in ("float32", "bfloat16"):
        sac = SAC(**(SETTINGS | {"precision": precision}))
        torch.manual_seed(1)
        with sac.autocast(torch.device("cpu")):
            losses, _ = sac.losses(it, data)
        (losses["critic_loss"] + losses["policy_loss"]).backward()
        gradients = [p.grad.clone() for p in it.parameters() if p.grad is not None]
        found.append([losses["critic_loss"].detach(), *gradients])
        it.zero_grad()
    for exact, rough in zip(*found, strict=True):
        assert (exact - rough).norm() < 0.1 * exact.norm() + 1e-3


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.0), ("discount", 1.5), ("precision", "float8"), ("policy_penalty", -1.0)],
)
def test_bad_settings_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        SAC(**(SETTINGS | {name: value}))
