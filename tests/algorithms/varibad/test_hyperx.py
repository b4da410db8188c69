"""HyperX: what its bonuses are made of, and that they vanish."""

import copy
import functools

import pytest
import torch
from helpers import run_trials, tiny_sampler
from omegaconf import OmegaConf
from torch.testing import assert_close

from metarl_cli.algorithms.varibad.belief import BELIEF
from metarl_cli.algorithms.varibad.hyperx import belief_after
from metarl_cli.commands.parts.assemble import build_network
from metarl_cli.config.build import build
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.config.schema import BenchConfig
from metarl_cli.core.protocols import PredictsReward

STEPS = 2 * 4 * 6  # of an iteration: episodes, horizon, environments
SMALL = {
    "num_tasks": 3,
    "envs_per_task": 2,
    "episodes": 2,
    "policy_hidden": [8],
    "ppo": {"num_minibatches": 2},
}


@functools.lru_cache
def config(name):
    cfg = compose("train", [f"algo={name}", "env=point_nav", "network.hidden=8"])
    cfg.algo = OmegaConf.merge(cfg.algo, SMALL)
    return cfg


def built(name="hyperx", state_weight=0.0, **exploration):
    torch.manual_seed(0)
    cfg = config(name).copy()
    cfg.algo.elbo.state_weight = state_weight
    if exploration:
        cfg.algo.exploration = OmegaConf.merge(cfg.algo.exploration, exploration)
    sampler = tiny_sampler(num_envs=6)
    network = build_network(cfg.network)
    return build(cfg.algo, spec=sampler.spec, network=network), sampler


def rewards_learned_from(algorithm, sampler):
    """What the policy is paid in one iteration, and what the environment paid."""
    seen = []
    learn = algorithm.varibad.learn_from

    def spy(trials, reward, env_steps):
        seen.extend([reward, trials])
        return learn(trials, reward, env_steps)

    algorithm.varibad.learn_from = spy
    metrics = algorithm.train_step(sampler)
    return (*seen, metrics)


def test_weights_fall_linearly_to_zero_and_stay_there():
    exploration = built(anneal_steps=100)[0].exploration
    assert [exploration.remaining(n) for n in (0, 25, 100, 250)] == [1.0, 0.75, 0.0, 0.0]


def test_weights_are_annealed_over_the_budget():
    cfg = compose("train", ["algo=hyperx", "env=point_nav", "budget.env_steps=777"])
    check(cfg)
    assert cfg.algo.exploration.anneal_steps == 777


def test_benchmark_needs_no_budget():
    cfg = compose("bench", ["algo=hyperx", "env=point_nav"])
    check(cfg, BenchConfig)
    assert cfg.algo.exploration.anneal_steps == 20_000_000


def test_bonuses_are_paid_to_the_policy_and_fall_to_zero_in_training():
    algorithm, sampler = built(novelty_weight=1.0, error_weight=1.0, anneal_steps=3 * STEPS)
    history = [algorithm.train_step(sampler) for _ in range(4)]
    remaining = [metrics["bonus/remaining"] for metrics in history]
    assert remaining == pytest.approx([2 / 3, 1 / 3, 0, 0])
    for name in ("bonus/novelty", "bonus/error"):
        bonus = [metrics[name] for metrics in history]
        assert bonus[0] > 0 and bonus[1] > 0 and bonus[2:] == [0, 0]


def test_policy_is_paid_scaled_rewards_alone_without_weights():
    algorithm, sampler = built(novelty_weight=0.0, error_weight=0.0)
    paid, trials, _ = rewards_learned_from(algorithm, sampler)
    assert_close(paid, algorithm.scales["reward"](trials.reward))


def test_bonuses_add_up_to_what_is_paid_beside_the_reward():
    algorithm, sampler = built(novelty_weight=2.0, error_weight=3.0)
    paid, trials, metrics = rewards_learned_from(algorithm, sampler)
    bonus = paid - algorithm.scales["reward"](trials.reward)
    assert (bonus >= -1e-5).all()
    assert bonus.mean().item() == pytest.approx(
        metrics["bonus/novelty"] + metrics["bonus/error"], rel=1e-4
    )


def test_model_learns_from_the_rewards_of_the_environment():
    algorithm, sampler = built(novelty_weight=5.0)
    _, trials, _ = rewards_learned_from(algorithm, sampler)
    stored = algorithm.varibad.learner.buffer.sample(50).reward
    assert set(stored.flatten().tolist()) <= set(trials.reward.flatten().tolist())


@pytest.mark.parametrize("state_weight", [0.0, 2.0])
def test_error_is_that_of_the_belief_which_has_seen_the_step(state_weight):
    weights = {"novelty_weight": 0.0, "error_weight": 1.0}
    algorithm, sampler = built(state_weight=state_weight, **weights)
    head = algorithm.varibad.agent.encoder.head
    head.weight.data[5:], head.bias.data[5:] = 0.0, -30.0  # certain: the sample is the mean
    model = copy.deepcopy(algorithm.varibad.model)
    paid, trials, metrics = rewards_learned_from(algorithm, sampler)
    belief = belief_after(trials)
    seen = trials.extras[BELIEF]
    assert belief[:-1].equal(seen[1:]) and belief[-1].equal(seen[-1])
    t, b = 3, 4
    latent = belief[t, b, :5].view(1, 1, 5)
    one = [x[t, b].view(1, 1, -1) for x in (trials.step.obs, trials.action, trials.next_obs)]
    expected = (model.reward(latent, *one) - trials.reward[t, b]).square()
    if state_weight:
        expected = expected + state_weight * model.state.loss(latent, *one)
    bonus = (paid - algorithm.scales["reward"](trials.reward))[t, b]
    assert 0 < bonus < 10  # where it would be clipped
    scaled = algorithm.scales["error"](expected).view(())
    assert_close(bonus, metrics["bonus/remaining"] * scaled, rtol=1e-3, atol=1e-3)


def test_novelty_of_what_is_visited_falls():
    algorithm, sampler = built(learning_rate=1e-3, updates=30)
    losses = [algorithm.train_step(sampler)["bonus/novelty_loss"] for _ in range(3)]
    assert losses[2] < losses[0]


@pytest.mark.parametrize("key", ["anneal_steps", "batch", "learning_rate"])
def test_numbers_without_meaning_are_refused_by_name(key):
    with pytest.raises(Exception, match=f"{key}: got 0"):
        built(**{key: 0})


def test_its_beliefs_foretell_rewards_as_those_of_varibad():
    algorithm, sampler = built()
    assert isinstance(algorithm, PredictsReward)
    trial = run_trials(algorithm, sampler)
    queries = (trial.step.obs[0, :3], trial.action[0, :3], trial.next_obs[0, :3])
    assert algorithm.predicted_reward(trial, *queries).shape == (4, 6, 3)
