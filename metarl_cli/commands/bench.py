"""`metarl bench`: steps per second, all contestants in turns within one process.

Machines are noisy, so a rate means little alone: contestants take turns, medians are compared, and
what counts is the ratio.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from metarl_cli.commands.parts.assemble import Parts, assemble
from metarl_cli.commands.parts.bench_profile import describe, learning_times
from metarl_cli.config.build import build
from metarl_cli.core.errors import UserError
from metarl_cli.envs.adapters.single import SingleEnv
from metarl_cli.envs.adapters.vector import VectorEnv
from metarl_cli.envs.base.batch import NumpyFamily
from metarl_cli.loggers.jsonl import JsonlLogger
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.process import set_threads
from metarl_cli.runtime.run_record import RunFiles
from metarl_cli.runtime.signals import Interruption
from metarl_cli.runtime.trainer import Budget, Progress, Trainer

ASYNC_ENVS = 16  # processes of AsyncVectorEnv: more only slow it down on small machines
SYNC_ENVS = 256  # most environments of SyncVectorEnv: its rate does not grow with their number
GRADIENT_STEPS = "/gradient_steps"  # ends the metric in which a learner counts an iteration's
# All that happens from one row of the record to the next, see `Trainer.advance`
PARTS = ("simulate", "act", "learn", "boundary", "check", "log")
NEVER = 10**18  # environment steps, minutes
NUM_ACTIONS = 16  # random actions prepared beforehand and reused in turn


@runtime_checkable
class RawPhysics(Protocol):
    """A batch whose physics can be stepped alone."""

    def simulate_only(self, actions: np.ndarray) -> None:
        """Set controls and step."""


Contestant = Callable[[], int]  # does some environment steps and returns how many


def run(cfg: DictConfig) -> int:
    """Measure the environment, or an algorithm's whole training iteration."""
    threads = set_threads(cfg.threads)
    console = Console()
    console.print(_environment_table(cfg, build(cfg.env), threads))
    if cfg.get("algo") is not None:
        _measure_iteration(cfg, console)
    return 0


def _environment_table(cfg: DictConfig, family: NumpyFamily, threads: int) -> Table:
    env = _batch(family, cfg.num_envs, threads)
    contestants: dict[str, Contestant] = {"metarl batch": stepping(env, cfg.num_envs)}
    if isinstance(env.batch, RawPhysics):
        contestants["raw mujoco.batch loop"] = _raw_physics(env.batch, env)
    in_turn = min(cfg.num_envs, SYNC_ENVS)
    vectors = {
        f"SyncVectorEnv ({in_turn} envs)": _vector(family, "Sync", in_turn),
        f"AsyncVectorEnv ({ASYNC_ENVS} processes)": _vector(family, "Async", ASYNC_ENVS),
    }
    contestants |= {name: stepping(env, env.num_envs) for name, env in vectors.items()}
    try:
        rates = measure(contestants, seconds=cfg.seconds, rounds=cfg.rounds)
    finally:
        for vector in vectors.values():
            vector.close()
    table = Table(title=f"environment alone: {cfg.num_envs} envs, {threads} threads")
    for heading in ("contestant", "env-steps/s", "metarl batch / this"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rates['metarl batch'] / rate:.2f}")
    return table


def measure(contestants: dict[str, Contestant], *, seconds: float, rounds: int) -> dict[str, float]:
    """Let contestants take turns of `seconds`; return the median steps per second of each."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant()  # warm-up
    for _ in range(rounds):
        for name, contestant in contestants.items():
            steps, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds:
                steps += contestant()
            rates[name].append(steps / elapsed)
    return {name: statistics.median(values) for name, values in rates.items()}


def stepping(env: Any, num_envs: int) -> Contestant:
    """Random actions; each episode starts again as soon as it has ended, so every step counts."""
    actions = _random_actions(env.single_action_space, num_envs)
    env.reset(seed=0)
    count = 0

    def go() -> int:
        nonlocal count
        *_, terminated, truncated, _ = env.step(actions[count % NUM_ACTIONS])
        count += 1
        ended = terminated | truncated
        if ended.any():
            env.reset(options={"reset_mask": ended})
        return num_envs

    return go


def _batch(family: NumpyFamily, num_envs: int, threads: int) -> VectorEnv:
    return VectorEnv(family, num_envs, threads=threads, autoreset_mode=AutoresetMode.DISABLED)


def _raw_physics(batch: RawPhysics, env: VectorEnv) -> Contestant:
    actions = _random_actions(env.single_action_space, env.num_envs)
    count = 0

    def go() -> int:
        nonlocal count
        batch.simulate_only(actions[count % NUM_ACTIONS])
        count += 1
        return int(env.num_envs)

    return go


def _random_actions(space: gymnasium.Space[Any], num_envs: int) -> np.ndarray:
    space.seed(0)
    return np.stack([[space.sample() for _ in range(num_envs)] for _ in range(NUM_ACTIONS)])


def _vector(family: NumpyFamily, kind: str, num_envs: int) -> Any:
    """Gymnasium's own vectorisation of the same single environment."""
    make = getattr(gymnasium.vector, f"{kind}VectorEnv")
    return make([lambda: SingleEnv(family)] * num_envs, autoreset_mode=AutoresetMode.DISABLED)


def _measure_iteration(cfg: DictConfig, console: Console) -> None:
    """One training iteration at the algorithm's own batch size, split into its parts."""
    parts = assemble(cfg)
    sampler = parts.training_sampler()
    alone = _batch(build(cfg.env), sampler.simulation.num_envs, parts.threads)
    env_only = stepping(alone, alone.num_envs)
    rates, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(parts, sampler, Path(folder))
        if not _one_iteration(trainer)["steps"]:  # also a warm-up
            raise UserError("this algorithm has no training iteration: nothing is meta-trained")
        for _ in range(cfg.rounds):
            rates.append(measure({"env": env_only}, seconds=cfg.seconds, rounds=1)["env"])
            rows.append(_one_iteration(trainer))
    console.print(_split_table(rows, statistics.median(rates)))
    if rows[0]["gradient_steps"]:
        pace = statistics.median(row["gradient_steps"] / row["learn"] for row in rows)
        console.print(f"{pace:,.1f} gradient steps per second of learning")
    console.print(describe(learning_times(parts.algorithm, sampler, parts.device)))


def _trainer(parts: Parts, sampler: Sampler, folder: Path) -> Trainer:
    """A trainer as in a run that keeps its record, with no evaluation or checkpoint due."""
    record = JsonlLogger(record_path=RunFiles(folder).record)
    return Trainer(
        algorithm=parts.algorithm,
        sampler=sampler,
        validate=lambda: parts.test("validation"),
        logger=record,
        record_position=record.position,
        store=CheckpointStore(RunFiles(folder).checkpoints),
        budget=Budget(NEVER, NEVER, NEVER, keep_checkpoints=1, checkpoint_minutes=NEVER),
        identity={},
        progress=Progress(next_eval=NEVER, next_checkpoint=NEVER),
    )


def _one_iteration(trainer: Trainer) -> dict[str, float]:
    """Do one iteration; return the seconds of its parts, and what was done in them."""
    trainer.restart_clock()
    steps = trainer.sampler.env_steps
    metrics = trainer.advance(Interruption())
    seconds = {part: metrics.get(f"time/{part}_s", 0.0) for part in PARTS}
    done = [x for key, x in metrics.items() if key.endswith(GRADIENT_STEPS)]
    return seconds | {
        "total": sum(seconds.values()),
        "steps": trainer.sampler.env_steps - steps,
        "gradient_steps": sum(done),
    }


def _split_table(rows: list[dict[str, float]], env_rate: float) -> Table:
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    rate = statistics.median(row["steps"] / row["total"] for row in rows)
    table = Table(title=f"one training iteration: {median['steps']:,.0f} env steps")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for part in (*PARTS, "total"):
        table.add_row(part, f"{median[part]:.3f}", f"{median[part] / median['total']:.1%}")
    table.caption = (
        f"{rate:,.0f} env-steps/s against {env_rate:,.0f} of the environment alone: "
        f"ratio {rate / env_rate:.2f}"
    )
    return table
