"""What a training asks for when several processes do it, as torchrun starts them."""

from __future__ import annotations

import os
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from metarl_cli.core.distributed import largest, num_processes, told_by_first
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Algorithm

MOST_RESTARTS = "TORCHELASTIC_MAX_RESTARTS"  # as torchrun says it
CHOSEN = "hydra.run.dir="


def shared_folder() -> Path:
    """Return the run folder, the same in all processes.

    Raises:
        UserError: it could not be found again after a restart, or this is a sweep.
    """
    hydra = HydraConfig.get()
    if num_processes() > 1 and hydra.mode == RunMode.MULTIRUN:
        raise UserError("torchrun is for one training: leave out -m, or torchrun")
    may_restart = os.environ.get(MOST_RESTARTS, "0") != "0"
    if may_restart and not any(word.startswith(CHOSEN) for word in hydra.overrides.hydra):
        raise UserError(f"--max-restarts needs a folder to come back to: {CHOSEN}outputs/NAME")
    return Path(told_by_first(hydra.runtime.output_dir))


def signal_of_any(signum: int) -> int:
    """Return a signal that one of the processes has received, 0 if none has."""
    return largest(signum)[0]


def require_shareable(algorithm: Algorithm) -> None:
    """Refuse an algorithm that several processes cannot train together."""
    if (num := num_processes()) > 1 and not getattr(algorithm, "shares_tasks", False):
        name = type(algorithm).__name__
        raise UserError(f"algo: {name} is trained by one process only, torchrun started {num}")


def own_number_of_tasks(cfg: DictConfig) -> int:
    """Return how many tasks of the meta-batch belong to each process."""
    num, tasks = num_processes(), int(cfg.algo.num_tasks)
    if tasks % num:
        raise UserError(f"algo.num_tasks: got {tasks}, expected a multiple of {num} processes")
    return tasks // num
