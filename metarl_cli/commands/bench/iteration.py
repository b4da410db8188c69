"""One training iteration at the algorithm's own batch size, split into its parts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from metarl_cli.commands.bench.contestants import batch_of, multiplying, pace, stepping
from metarl_cli.commands.bench.operations import operations_of_learning
from metarl_cli.commands.parts.assemble import Parts, assemble
from metarl_cli.config.build import build
from metarl_cli.core.errors import UserError
from metarl_cli.functional.native import use_native
from metarl_cli.loggers.jsonl import JsonlLogger
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.run_record import RunFiles
from metarl_cli.runtime.signals import Interruption
from metarl_cli.runtime.trainer import Budget, Progress, Trainer

GRADIENT_STEPS = "/gradient_steps"  # ends the metric in which a learner counts an iteration's
# All that happens from one row of the record to the next, see `Trainer.advance`
PARTS = ("simulate", "act", "learn", "boundary", "check", "log")
NEVER = 10**18  # environment steps, minutes


def measure_iteration(cfg: DictConfig) -> dict[str, Any]:
    """Return the parts of iterations, turn by turn, beside what limits them.

    Returns:
        `seconds` of each part and in all, `env_steps`, `gradient_steps`, `env_rates` (steps per
        second of the environment alone), `operations` (seconds in one iteration), `flops` of the
        matrix products of learning by the type of their numbers, and `peak` (FLOPs per second of
        large products, by type).

    Raises:
        UserError: nothing is meta-trained by this algorithm.
    """
    parts = assemble(cfg)
    sampler = parts.training_sampler()
    alone = batch_of(build(cfg.env), sampler.simulation.num_envs, parts.threads)
    env_only = stepping(alone, alone.num_envs)
    env_only()
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(parts, sampler, Path(folder))
        if not _one(trainer)["env_steps"]:  # also a warm-up
            raise UserError("this algorithm has no training iteration: nothing is meta-trained")
        operations = operations_of_learning(parts.algorithm, sampler, parts.device)
        use_native(False)  # loops in C do not tell how many products they do
        flops = operations_of_learning(parts.algorithm, sampler, parts.device).flops
        use_native(cfg.native)
        peaks = {numbers: multiplying(getattr(torch, numbers), parts.device) for numbers in flops}
        rows = []
        for _ in range(cfg.rounds):
            limits = {"env_rates": pace(env_only, cfg.seconds)}
            limits |= {numbers: pace(peak, cfg.seconds) for numbers, peak in peaks.items()}
            rows.append(limits | _one(trainer))
    turns = {key: [row[key] for row in rows] for key in rows[0]}
    return {
        "seconds": {part: turns[part] for part in (*PARTS, "total")},
        **{key: turns[key] for key in ("env_steps", "gradient_steps", "env_rates")},
        "peak": {numbers: turns[numbers] for numbers in peaks},
        "flops": dict(flops),
        "operations": dict(operations.seconds),
    }


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


def _one(trainer: Trainer) -> dict[str, float]:
    """Do one iteration; return the seconds of its parts, and what was done in them."""
    trainer.restart_clock()
    steps = trainer.sampler.env_steps
    metrics = trainer.advance(Interruption())
    seconds = {part: metrics.get(f"time/{part}_s", 0.0) for part in PARTS}
    done = [x for key, x in metrics.items() if key.endswith(GRADIENT_STEPS)]
    return seconds | {
        "total": sum(seconds.values()),
        "env_steps": trainer.sampler.env_steps - steps,
        "gradient_steps": sum(done),
    }
