"""What every algorithm must do; a new YAML in `conf/algo`, or in a plug-in's, is tested too.

An algorithm says itself what it cannot do: where its constructor refuses observations or actions in
one line, they are skipped. It must take at least one kind of each.
"""

from __future__ import annotations

import functools
import io
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from gymnasium.spaces import Box
from omegaconf import OmegaConf

from metarl_cli.commands.parts.assemble import build_network
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose, options_of
from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.runtime.evaluator import meta_test
from metarl_cli.runtime.process import random_state
from metarl_cli.testing.devices import DEVICE, device
from metarl_cli.testing.tiny import tiny_sampler
from metarl_cli.testing.values import all_equal, tensors_of

N, E = 3, 2
__all__ = ["device"]  # a fixture of all tests here
SPACES = [
    ("vector", "continuous"),
    ("vector", "discrete"),
    ("discrete", "continuous"),
    ("grid", "discrete"),
    ("image", "discrete"),
    ("dict", "continuous"),
]
MEMORIES = ("gru", "lstm", "transformer")
ONE_UPDATE = {"batch": 4, "updates": 1, "buffer_trials": 8}
SMALL = {
    "num_tasks": N,
    "envs_per_task": E,
    "ppo": {"epochs": 1, "num_minibatches": 2},
    "elbo": {"learner": ONE_UPDATE},
    "supervision": {"learner": ONE_UPDATE},
    "q_learning": {**ONE_UPDATE, "min_trials": 4},
    "collection": {"prior_episodes": 2, "extra_episodes": 1, "warmup_steps": 0},
    "gradient_steps": 1,
    "meta_batch": 2,
    "batch": 4,
    "context_batch": 3,
    "encoder_hidden": [8],
    "train_tasks": 6,
    "replay_capacity": 16,
}
SMALL_NETWORK = {"embedding": 8, "width": 8, "heads": 2, "layers": 1, "context": 4}

ALGORITHMS = options_of("algo")
every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
every_action = pytest.mark.parametrize("action", ["continuous", "discrete"])
every_space = pytest.mark.parametrize(("obs", "action"), SPACES, ids=map("-".join, SPACES))


def every_pair(test):
    return every_algorithm(every_action(test))


def every_case(test):
    return every_algorithm(every_space(test))


@dataclass
class Bench:
    """An algorithm and a sampler of tiny environments it was built for."""

    algorithm: Any
    sampler: Any

    def trial(self):
        return self.sampler.begin(self.algorithm, self.sampler.sample_tasks())

    def run(self, trial=None, **settings):
        return self.sampler.run(self.algorithm, trial or self.trial(), **settings)

    def kept(self):
        return {**self.algorithm.learned(), **self.algorithm.experience()}

    def saved(self):
        """What was learned and experienced, as it comes back from a checkpoint file."""
        buffer = io.BytesIO()
        torch.save({key: part.state_dict() for key, part in self.kept().items()}, buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)

    def greedy_action(self):
        return self.run(explore=False)[0].action


@functools.lru_cache
def config(name, network=None):
    chosen = [] if network is None else [f"network={network}"]
    cfg = compose("train", [f"algo={name}", "env=point_nav", *chosen])
    OmegaConf.set_struct(cfg, False)
    for key in SMALL.keys() & cfg.algo.keys():
        cfg.algo = OmegaConf.merge(cfg.algo, {key: SMALL[key]})
    for key in SMALL_NETWORK.keys() & cfg.network.keys():
        cfg.network[key] = SMALL_NETWORK[key]
    if "hidden" in cfg.network:
        cfg.network.hidden = [8] if cfg.network.get("activation") else 8
    return cfg


def construct(name, obs="vector", action="continuous", seed=0, network=None, **env):
    """An algorithm on the bench; a UserError if it does not take such spaces."""
    torch.manual_seed(seed)
    env.setdefault("device", torch.device(DEVICE.get()))
    cfg = config(name, network)
    mode = cfg.env.tasks.mode
    sampler = tiny_sampler(mode=mode, obs=obs, action=action, num_envs=N * E, seed=seed, **env)
    network = build_network(cfg.network)
    with torch.device(env["device"]):
        return Bench(build(cfg.algo, spec=sampler.spec, network=network), sampler)


@functools.lru_cache
def refusal(name, obs, action):
    """How an algorithm refuses spaces; None if it takes them."""
    try:
        construct(name, obs, action)
    except UserError as error:
        return str(error)
    return None


def taken(name):
    """The spaces that an algorithm takes."""
    return [pair for pair in SPACES if refusal(name, *pair) is None]


def bench(name, obs="vector", action=None, **settings):
    """An algorithm on the bench; skips the test if it does not take such spaces."""
    if action is None:
        action = next((a for o, a in taken(name) if o == obs), "continuous")
    if line := refusal(name, obs, action):
        pytest.skip(line)
    return construct(name, obs, action, **settings)


def remembers(name):
    return config(name).network._target_ != config(name, "mlp").network._target_


@every_case
def test_train_step_returns_finite_metrics_or_none(name, obs, action):
    it = bench(name, obs, action, ends=[2, 9, 1, 9, 9, 3])
    for _ in range(2):
        metrics = it.algorithm.train_step(it.sampler)
        if metrics is not None:
            assert all(type(value) is float and math.isfinite(value) for value in metrics.values())
            assert all("/" in key for key in metrics)
    assert all(torch.isfinite(x).all() for x in tensors_of(it.saved()))


@every_case
def test_actions_fit_the_action_space_before_and_after_adaptation(name, obs, action):
    it = bench(name, obs, action)
    trial = it.trial()
    for _ in range(3):
        episode, trial = it.run(trial)
        if isinstance(it.sampler.spec.action, Box):
            assert episode.action.shape == (4, N * E, 2) and episode.action.is_floating_point()
        else:
            assert episode.action.shape == (4, N * E) and episode.action.dtype == torch.int64
            assert set(episode.action.unique().tolist()) <= {0, 1, 2}
        trial = trial.adapt(it.algorithm, episode)


@every_case
def test_same_seed_same_result_bit_for_bit(name, obs, action):
    def result(seed, steps=2):
        it = bench(name, obs, action, seed=seed)
        metrics = [it.algorithm.train_step(it.sampler) for _ in range(steps)]
        episode, trial = it.run()
        return metrics, it.saved(), episode, trial.adapt(it.algorithm, episode).state

    first, same, other = result(0), result(0), result(1, steps=1)
    assert first[0] == same[0]
    assert all(all_equal(a, b) for a, b in zip(first[1:], same[1:], strict=True))
    assert not all_equal(first[1], other[1])


@every_case
def test_saved_and_loaded_parts_act_the_same_and_train_on_the_same(name, obs, action):
    it = bench(name, obs, action)
    it.algorithm.train_step(it.sampler)
    other = bench(name, obs, action, seed=1)
    state = it.saved()
    for key, part in other.kept().items():
        part.load_state_dict(state[key])
    other.sampler = bench(name, obs, action).sampler
    other.sampler.load_state_dict(it.sampler.state_dict())
    results = []
    for each in (it, other):
        torch.manual_seed(5)
        results.append((each.algorithm.train_step(each.sampler), each.greedy_action()))
    assert results[0][0] == results[1][0] and results[0][1].equal(results[1][1])
    assert all_equal(it.saved(), other.saved())


@every_pair
def test_an_iteration_that_is_given_up_leaves_no_trace_in_experience(name, action):
    it = bench(name, action=action)
    for _ in range(3):
        it.algorithm.train_step(it.sampler)
        for kept in it.algorithm.experience().values():
            kept.mark()
    before = tree.clone({k: x.state_dict() for k, x in it.algorithm.experience().items()})
    it.algorithm.train_step(it.sampler)
    for kept in it.algorithm.experience().values():
        kept.rollback()
    assert all_equal({k: x.state_dict() for k, x in it.algorithm.experience().items()}, before)


@every_case
def test_adaptation_leaves_the_state_it_was_given_and_the_parts_alone(name, obs, action):
    it = bench(name, obs, action)
    episode, trial = it.run()
    before = tree.clone(tensors_of(trial.state)), it.saved()
    adapted = it.algorithm.adapt(trial.state, episode)
    it.algorithm.adapt(adapted, episode)
    assert all_equal((trial.state, it.saved()), before)


@every_algorithm
def test_greedy_actions_draw_no_random_numbers(name):
    it = bench(name)
    trial = it.trial()
    before = torch.get_rng_state()
    it.run(trial, explore=False)
    assert torch.get_rng_state().equal(before)


@every_pair
def test_evaluation_moves_no_random_stream_and_no_parameter(name, action):
    samplers = [bench(name, action=action).sampler for _ in range(2)]
    it = bench(name, action=action)
    it.algorithm.train_step(it.sampler)
    before = it.saved(), random_state(), it.sampler.state_dict()
    results = [
        meta_test(it.algorithm, fresh, episodes=1, split="test", seed=3) for fresh in samplers
    ]
    after = it.saved(), random_state(), it.sampler.state_dict()
    assert all_equal(before, after)
    assert before[1]["python"] == after[1]["python"] and before[2] == after[2]
    assert results[0].online.shape == (2, N, E)
    assert results[0].online.equal(results[1].online)
    assert results[0].probe.equal(results[1].probe)


@every_algorithm
def test_algorithm_takes_some_spaces_and_refuses_the_others_in_one_line(name):
    assert taken(name)
    lines = [line for pair in SPACES if (line := refusal(name, *pair))]
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize("network", MEMORIES)
@every_algorithm
def test_each_kind_of_memory_trains_or_is_refused_in_one_line(name, network):
    if remembers(name):
        it = bench(name, network=network, ends=[2, 9, 1, 9, 9, 3])
        metrics = it.algorithm.train_step(it.sampler)
        assert all(map(math.isfinite, metrics.values()))
        assert it.run()[0].action.shape[:2] == (4, N * E)
        return
    obs, action = taken(name)[0]
    with pytest.raises(UserError, match=r"needs a feed-forward one, got memory$"):
        construct(name, obs, action, network=network)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if remembers(name)])
def test_algorithm_with_memory_refuses_a_network_without(name):
    obs, action = taken(name)[0]
    with pytest.raises(UserError, match=r"needs one with memory .*, got feed-forward$"):
        construct(name, obs, action, network="mlp")
