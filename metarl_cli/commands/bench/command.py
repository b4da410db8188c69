"""`metarl bench`: steps per second of an environment, and of an algorithm's training iteration."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from metarl_cli.commands.bench.contestants import measure_environment
from metarl_cli.commands.bench.iteration import measure_iteration
from metarl_cli.commands.bench.operations import describe
from metarl_cli.commands.bench.tables import environment_table, iteration_table, limits, median
from metarl_cli.config.build import build
from metarl_cli.runtime.process import set_threads


def run(cfg: DictConfig) -> int:
    """Measure the environment, or an algorithm's whole training iteration; print and write it."""
    threads = set_threads(cfg.threads)
    console = Console()
    found: dict[str, Any] = {"num_envs": cfg.num_envs, "threads": threads}
    if cfg.get("algo") is None or cfg.environment:
        found["environment"] = measure_environment(
            build(cfg.env),
            num_envs=cfg.num_envs,
            threads=threads,
            seconds=cfg.seconds,
            rounds=cfg.rounds,
        )
        console.print(environment_table(found))
    if cfg.get("algo") is not None:
        found["iteration"] = iteration = measure_iteration(cfg)
        console.print(iteration_table(iteration))
        console.print(limits(iteration))
        if steps := median(iteration["gradient_steps"]):
            pace = steps / median(iteration["seconds"]["learn"])
            console.print(f"{pace:,.1f} gradient steps per second of learning")
        console.print(describe(iteration["operations"]))
    found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if cfg.output is not None:
        Path(cfg.output).write_text(json.dumps(found, indent=1) + "\n")
    return 0
