import numpy as np
import torch
from gymnasium.spaces import Discrete

from metarl_cli.commands.bench import PARTS, measure, run, stepping
from metarl_cli.commands.parts.bench_profile import describe, learning_times
from metarl_cli.config.compose import compose


def test_contestants_take_turns_and_the_median_rate_counts():
    calls = []

    def contestant(name, steps):
        def go():
            calls.append(name)
            return steps

        return go

    rates = measure({"a": contestant("a", 1), "b": contestant("b", 50)}, seconds=0.01, rounds=3)
    assert rates["b"] > 5 * rates["a"]
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

    seconds = learning_times(Learner(), Acting(), torch.device("cpu"))
    assert {"mm", "tanh", "tanh_backward"} <= set(seconds)
    assert "cos" not in seconds


def test_profile_names_the_share_of_matrix_products_and_the_five_dearest_others():
    seconds = {"mm": 3, "addmm": 2, "convolution_backward": 1, "tanh": 5, "add": 4}
    line = describe(seconds | {"mul": 3, "cat": 1.5, "sum": 0.4, "lgamma": 0.1})
    assert line.endswith("30% matrix products; tanh 25%, add 20%, mul 15%, cat 8%, sum 2%")


def test_bench_compares_physics_with_the_raw_loop(capsys):
    settings = ["env=cheetah_vel", "num_envs=2", "seconds=0.01", "rounds=1"]
    assert run(compose("bench", settings)) == 0
    assert "raw mujoco.batch loop" in capsys.readouterr().out
