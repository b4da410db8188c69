"""`kill -9` at any moment, in a save for instance, never costs more than what came after it.

Runs are forked from this process, so that a start does not cost the imports and a hundred of them
are affordable; which part of a save a process has reached is counted in what it asks of the disk.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from metarl_cli.cli import main
from metarl_cli.loggers.jsonl import read_rows
from metarl_cli.runtime.checkpoint import CheckpointStore

ALWAYS = [
    *("env.tasks.num_test=2", "meta_test.envs_per_task=1", "meta_test.episodes=1", "threads=1"),
    *("logger=[jsonl]", "budget.eval_every=400", "budget.checkpoint_every=80"),
]
PPO = ["algo.ppo.epochs=1", "algo.ppo.num_minibatches=2", "network.hidden=8"]
BELIEF = ["algo.elbo.learner.buffer_trials=20", "algo.elbo.learner.batch=4"]
SIX = {
    "maml": ["env=point_nav", "env.horizon=10", "algo.num_tasks=2", "algo.envs_per_task=2"],
    "rl2": ["env=point_nav", "env.horizon=10", "algo.num_tasks=4", *PPO],
    "pearl": [
        *("env=point_nav", "env.horizon=10", "env.tasks.num_train=4", "algo.num_tasks=2"),
        *("algo.collection.warmup_steps=0", "algo.gradient_steps=2", "algo.meta_batch=2"),
        *("algo.batch=8", "algo.context_batch=8", "algo.replay_capacity=1000"),
        "network.hidden=[8]",
    ],
    "dream": [
        *("env=gridnavi", "env.horizon=10", "algo.num_tasks=4", "network.hidden=8"),
        *("algo.q_learning.min_trials=4", "algo.q_learning.updates=2", "algo.q_learning.batch=4"),
        "algo.q_learning.buffer_trials=20",
    ],
    "varibad": ["env=point_nav", "env.horizon=10", "algo.num_tasks=4", *PPO, *BELIEF],
    "import": ["env=point_nav", "env.horizon=10", "algo.num_tasks=4", *PPO],
}
ITERATION = 80  # environment steps, about


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A fork takes no other threads along."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def forked(arguments: list[str], begin: Callable[[], None] = lambda: None) -> int:
    """Start a command in a process group of its own; return the process id."""
    if process := os.fork():
        return process
    code = 99
    try:
        os.setsid()
        silent = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        begin()
        code = main(arguments)
    finally:
        os._exit(code)


def die_at_request(number: int) -> None:
    """Let this process die when it asks the disk for the `number`-th time."""
    left = number

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted

    for name in ("fsync", "replace", "unlink", "stat"):
        setattr(os, name, counting(getattr(os, name)))


def ended(process: int) -> int:
    """Wait for a process, make sure that it left nobody behind, and return its code."""
    _, status = os.waitpid(process, 0)
    with pytest.raises(ProcessLookupError):
        os.killpg(process, 0)
    return os.waitstatus_to_exitcode(status)


def facts(run: Path) -> tuple[Any, ...]:
    """All of a finished run but the clock, in a form that can be compared bit by bit."""
    kept = read_rows(run / "metrics.jsonl")
    rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]
    state, _, damaged = CheckpointStore(run / "checkpoints").load_latest()
    learned = _digits([state["learned"], state["experience"], state["random"], state["sampler"]])
    return rows, damaged, learned, json.loads((run / "eval.json").read_text())


def _digits(node: Any) -> Any:
    if isinstance(node, torch.Tensor):
        return (str(node.dtype), tuple(node.shape), node.contiguous().numpy().tobytes())
    if isinstance(node, dict):
        return {key: _digits(value) for key, value in node.items()}
    return [_digits(x) for x in node] if isinstance(node, list | tuple) else node


def survive(algo: str, *, kills: int, iterations: int, seed: int) -> None:
    """Train undisturbed, and again with kills; both must come to the same."""
    settings = [f"algo={algo}", *ALWAYS, *SIX[algo], f"budget.env_steps={ITERATION * iterations}"]
    rng = random.Random(seed)
    began = time.monotonic()
    assert ended(forked(["train", *settings, "hydra.run.dir=whole"])) == 0
    whole_s = time.monotonic() - began
    run, killed = Path("run"), 0
    for _ in range(100 * kills):
        resumable = bool(CheckpointStore(run / "checkpoints").manifests())
        arguments = ["resume=run"] if resumable else [*settings, "hydra.run.dir=run"]
        if killed == kills:
            assert ended(forked(["train", *arguments])) == 0, Path("output.txt").read_text()
            break
        if rng.random() < 0.5:
            number = rng.randrange(1, 60)
            code = ended(forked(["train", *arguments], lambda n=number: die_at_request(n)))
        else:
            process = forked(["train", *arguments])
            time.sleep(rng.uniform(0.0, whole_s / max(2, kills / 2)))
            os.kill(process, signal.SIGKILL)
            code = ended(process)
        assert code in (0, -signal.SIGKILL), Path("output.txt").read_text()
        killed += code == -signal.SIGKILL
    assert killed == kills
    assert facts(run) == facts(Path("whole"))


@pytest.mark.parametrize("algo", ["maml", "pearl"])
def test_killed_run_is_resumed_bit_identically(here: Path, algo: str) -> None:
    survive(algo, kills=2, iterations=6, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("algo", SIX)
def test_of_a_hundred_kills_in_six_algorithms_none_costs_a_run(here: Path, algo: str) -> None:
    survive(algo, kills=17, iterations=25, seed=1)
