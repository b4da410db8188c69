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
from metarl_cli.runtime.trainer import Trainer

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


def at_iteration(number: int, act: Callable[[], None]) -> None:
    """Do something in this process when it begins the `number`-th iteration of its own."""
    advance, begun = Trainer.advance, 0

    def counted(self: Trainer, *args: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == number:
            act()
        return advance(self, *args)

    setattr(Trainer, "advance", counted)  # noqa: B010


def die_at_request(number: int) -> None:
    """Let this process die when it asks the disk for the `number`-th time from now on."""
    left = number

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted

    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, counting(getattr(os, name)))


def killed_in_a_save(arguments: list[str], rng: random.Random) -> int:
    """Let a training die between two steps of writing a file; return its exit code."""
    iteration, request = rng.randint(1, 2), rng.randint(1, 10)
    return ended(
        forked(arguments, lambda: at_iteration(iteration, lambda: die_at_request(request)))
    )


def killed_at_any_time(arguments: list[str], rng: random.Random) -> int:
    """Kill a training some milliseconds after it has begun an iteration; return its exit code."""
    reading, writing = os.pipe()
    iteration = rng.randint(1, 3)
    process = forked(arguments, lambda: at_iteration(iteration, lambda: tell(writing)))
    os.close(writing)
    os.read(reading, 1)  # also when it has ended before
    os.close(reading)
    time.sleep(rng.uniform(0.0, 0.06))
    os.kill(process, signal.SIGKILL)
    return ended(process)


def tell(descriptor: int) -> None:
    """Write a byte into a pipe."""
    os.write(descriptor, b".")


def in_the_middle_of_writing(run: Path) -> bool:
    """Whether a file is half written, or a checkpoint there without what makes it count."""
    checkpoints = run.glob("checkpoints/ckpt-*.pt")
    half = any(not path.with_suffix(".json").exists() for path in checkpoints)
    return half or any(run.rglob("*.tmp"))


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
    steps = f"budget.env_steps={ITERATION * iterations}"
    settings = ["train", f"algo={algo}", *ALWAYS, *SIX[algo], steps]
    assert ended(forked([*settings, "hydra.run.dir=whole"])) == 0, Path("output.txt").read_text()
    run, rng = Path("run"), random.Random(seed)
    resumed = in_a_save = 0
    for i in range(kills):
        resumable = bool(CheckpointStore(run / "checkpoints").manifests())
        resumed += resumable
        arguments = ["train", "resume=run"] if resumable else [*settings, "hydra.run.dir=run"]
        code = (killed_in_a_save if i % 2 else killed_at_any_time)(arguments, rng)
        assert code == -signal.SIGKILL, Path("output.txt").read_text()  # none had ended before
        in_a_save += in_the_middle_of_writing(run)
    assert resumed >= kills // 2 and in_a_save >= kills // 4  # or this would show little
    assert ended(forked(["train", "resume=run"])) == 0, Path("output.txt").read_text()
    assert facts(run) == facts(Path("whole"))


@pytest.mark.parametrize("algo", ["maml", "pearl"])
def test_killed_run_is_resumed_bit_identically(here: Path, algo: str) -> None:
    survive(algo, kills=4, iterations=10, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("algo", SIX)
def test_of_a_hundred_kills_in_six_algorithms_none_costs_a_run(here: Path, algo: str) -> None:
    survive(algo, kills=17, iterations=60, seed=1)
