"""Each algorithm learns what it is for, in a minute."""

from __future__ import annotations

import pytest

from metarl_cli.commands.assemble import assemble
from metarl_cli.config.compose import compose

pytestmark = pytest.mark.slow


def parts(*overrides):
    return assemble(compose("train", ["env=point_nav", "threads=1", *overrides]))


def train(run, iterations):
    sampler = run.training_sampler()
    return [run.algorithm.train_step(sampler) for _ in range(iterations)]


def mean_of_last(history, name, num=5):
    return sum(metrics[name] for metrics in history[-num:]) / num


def test_maml_learns_to_adapt():
    history = train(parts("algo=maml"), 40)
    gain = mean_of_last(history, "train/return_1") - mean_of_last(history, "train/return_0")
    assert gain > 10


def test_oracle_beats_the_policy_blind_to_the_task():
    tested = {}
    for name in ("oracle", "multitask_ppo"):
        run = parts(f"algo={name}")
        train(run, 12)
        tested[name] = run.test("test", most_episodes=0).probe.mean()
    assert tested["oracle"] > tested["multitask_ppo"] + 10


def test_retraining_improves_over_its_episodes():
    online = parts("algo=scratch_ppo", "env.tasks.num_test=5").test(
        "test", most_episodes=30, probe=False
    )
    first, last = online.online[0].mean(), online.online[-1].mean()
    assert last > first + 10
