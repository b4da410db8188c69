import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from rich.console import Console

from metarl_cli.cli import main
from metarl_cli.commands.bench.command import run
from metarl_cli.commands.bench.contestants import measure, stepping
from metarl_cli.commands.bench.iteration import PARTS
from metarl_cli.commands.bench.operations import describe, operations_of_learning
from metarl_cli.commands.bench.tables import measures, share_of_peak, suite_table
from metarl_cli.config.compose import compose


def test_contestants_take_turns_and_each_turn_is_kept():
    calls = []

    def contestant(name, steps):
        def go():
            calls.append(name)
            return steps

        return go

    rates = measure({"a": contestant("a", 1), "b": contestant("b", 50)}, seconds=0.01, rounds=3)
    assert min(rates["b"]) > 5 * max(rates["a"]) and len(rates["a"]) == 3
    turns = [x for i, x in enumerate(calls) if i == 0 or x != calls[i - 1]]
    assert turns == ["a", "b"] * 4  # a warm-up and three rounds


def test_episode_that_ends_starts_again_at_once_without_the_others():
    class Env:
        single_action_space = Discrete(2)
        resets = ()
        steps = 0

        def reset(self, **settings):
            self.resets = (*self.resets, settings)

        def step(self, _actions):
            self.steps += 1
            nobody = np.zeros(2, bool)
            fallen = np.array([self.steps == 2, False])
            return None, None, fallen, nobody, {}

    env = Env()
    go = stepping(env, 2)
    assert [go() for _ in range(3)] == [2, 2, 2]
    first, second = env.resets
    assert first == {"seed": 0}
    assert second["options"]["reset_mask"].tolist() == [True, False]


def test_bench_prints_ratios_and_the_parts_of_an_iteration(capsys):
    settings = ["env=point_nav", "env.horizon=5", "num_envs=4", "seconds=0.01", "rounds=1"]
    settings += [
        "algo=multitask_ppo",
        "algo.num_tasks=2",
        "algo.envs_per_task=2",
        "algo.ppo.epochs=1",
    ]
    assert run(compose("bench", settings)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for word in ("metarl batch", "SyncVectorEnv", "AsyncVectorEnv", *PARTS, "total"):
        assert word in printed
    assert "gradient steps per second" in printed and "matrix products" in printed


def test_profile_holds_learning_forwards_and_backwards_but_not_acting():
    class Acting:
        def run(self):
            return torch.ones(2, 2).cos()

    class Learner:
        def train_step(self, sampler):
            weight = torch.ones(2, 2, requires_grad=True)
            (sampler.run() @ weight).tanh().sum().backward()

    done = operations_of_learning(Learner(), Acting(), torch.device("cpu"))
    assert {"mm", "tanh", "tanh_backward"} <= set(done.seconds)
    assert "cos" not in done.seconds
    assert done.flops == {"float32": 32}  # forwards and to the weight, 2 x 2 x 2 products and sums


def test_profile_names_the_share_of_matrix_products_and_the_five_dearest_others():
    seconds = {"mm": 3, "addmm": 2, "convolution_backward": 1, "tanh": 5, "add": 4}
    line = describe(seconds | {"mul": 3, "cat": 1.5, "sum": 0.4, "lgamma": 0.1})
    assert line.endswith("30% matrix products; tanh 25%, add 20%, mul 15%, cat 8%, sum 2%")


def test_bench_compares_physics_with_the_raw_loop(capsys):
    settings = ["env=cheetah_vel", "num_envs=2", "seconds=0.01", "rounds=1"]
    assert run(compose("bench", settings)) == 0
    assert {"raw mujoco.batch loop", "rollout, 10 controls per call"} <= {
        line.strip("│").split("│")[0].strip() for line in capsys.readouterr().out.splitlines()
    }


def test_share_of_the_peak_is_the_time_that_products_need_at_their_peak():
    iteration = {
        "seconds": {"learn": [4.0, 8.0]},
        "flops": {"float32": 100, "bfloat16": 300},
        "peak": {"float32": [100.0, 50.0], "bfloat16": [300.0, 150.0]},
    }
    assert share_of_peak(iteration) == [0.5, 0.5]  # (1 + 1) / 4 and (2 + 2) / 8


def test_suite_keeps_all_turns_and_shows_what_is_slower_than_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = ["env=point_nav", "env.horizon=5", "num_envs=4", "algo=multitask_ppo"]
    settings += ["algo.num_tasks=2", "algo.envs_per_task=2", "environment=false"]
    words = ["bench", "suite", "only=[mine,gru_16]", f"+rows.mine={json.dumps(settings)}"]
    words += ["rows.gru_16=[gru,'hidden=8','batch=2','steps=2']"]
    words += ["rounds=2", "seconds=0.01", "threads=1"]
    assert main([*words, "output=before.json"]) == 0
    before = json.loads(Path("before.json").read_text())
    assert set(before["rows"]) == {"mine", "gru_16"} and before["packages"]["torch"]
    assert len(before["rows"]["mine"]["iteration"]["seconds"]["learn"]) == 2
    for turn in range(2):
        before["rows"]["gru_16"]["gru"]["metarl"][turn] = 1e-3
    Path("before.json").write_text(json.dumps(before))
    assert main([*words, "against=before.json", "only=[gru_16]"]) == 0
    printed = capsys.readouterr().out
    assert "now / earlier" in printed and "written to bench.json" in printed


def test_suite_compares_medians_with_those_of_an_earlier_one():
    def found(*rates):
        return measures({"rows": {"cells": {"gru": {"metarl": rates, "nn.GRU": [2.0] * 3}}}})

    now, earlier = found(2.0, 8.0, 4.0), found(1.0, 2.0, 3.0)
    assert now["cells", "/ nn.GRU"] == [1.0, 4.0, 2.0]
    console = Console(width=120, file=io.StringIO())
    console.print(suite_table(now, earlier))
    printed = " ".join(console.file.getvalue().split())
    assert "4 [2-8] │ 2.00" in printed


@pytest.mark.parametrize("word", ["only=[rl2_gridnave]", "against=none.json", "rounds=0"])
def test_suite_refuses_what_it_cannot_measure(word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "suite", word]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
