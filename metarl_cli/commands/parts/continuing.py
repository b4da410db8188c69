"""What `metarl train` does with a run folder that holds a run: go on, leave it alone, or refuse.

A sweep that is started again finds the folders of its first attempt, and a batch system starts a
job that it has interrupted a second time with the same words. Both mean the runs that are there.
Anybody else may have mistyped a folder, so there the run must be named: `resume=FOLDER`.
"""

from __future__ import annotations

import os
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from metarl_cli.commands.parts.frozen import load_checkpoint, load_config, restore
from metarl_cli.config.build import flatten
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Algorithm
from metarl_cli.core.words import setting
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.manifest import Manifest
from metarl_cli.runtime.run_record import RunRecord

# How often the job has been started before, as batch systems and torchrun say it
RESTART_COUNTS = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
FINISHED = "finished"
_MISSING = object()


def is_finished(record: RunRecord, cfg: DictConfig) -> bool:
    """Tell whether the run that a folder holds needs nothing more; if not, it may be continued.

    Args:
        record: the folder, with at least one checkpoint.
        cfg: what was asked for now.

    Raises:
        UserError: this is no sweep and no restarted job, or the run has other settings.
    """
    if not _is_repeated():
        typed = setting("resume", record.folder)
        raise UserError(f"{record.folder} holds a run; continue it with {typed}")
    _require_same_settings(record, cfg)
    return record.identity.status == FINISHED


def take_up(
    algorithm: Algorithm, record: RunRecord, manifest: Manifest | None = None
) -> dict[str, Any]:
    """Give an algorithm what a run has learned and return the state to continue from.

    Args:
        algorithm: built from the run's settings.
        record: the run.
        manifest: a checkpoint of it; None stands for the newest intact one.
    """
    if fault := record.checkpoints().best_fault():
        tell(f"{fault}; the scores of the checkpoints decide which is the best")
    state, used = load_checkpoint(record, manifest)
    restore(algorithm, state, str(record.files.checkpoints / used.file))
    return state


def require_continuable(overrides: DictConfig, state: dict[str, Any], seed: int) -> None:
    """Refuse changes by which the run would be another from its beginning, or already over."""
    if overrides.get("seed", seed) != seed:
        raise UserError(f"seed={overrides.seed}: a run goes on with the seed it began with, {seed}")
    steps, done = OmegaConf.select(overrides, "budget.env_steps"), state["sampler"]["env_steps"]
    if steps is not None and steps < done:
        raise UserError(f"budget.env_steps={steps}: the run has done {done} steps already")


def _is_repeated() -> bool:
    """Tell whether the same words may have been run before, without anybody typing them again."""
    restarts = (os.environ.get(name, "") for name in RESTART_COUNTS)
    return HydraConfig.get().mode == RunMode.MULTIRUN or any(n not in ("", "0") for n in restarts)


def _require_same_settings(record: RunRecord, cfg: DictConfig) -> None:
    """Raise a UserError that names the first setting in which a run is another one."""
    kept, asked = flatten(load_config(record)), flatten(cfg)
    for key in kept | asked:
        then, now = kept.get(key, _MISSING), asked.get(key, _MISSING)
        if then != now:
            settings = f"{_setting(key, then)}, not {_setting(key, now)}"
            raise UserError(
                f"{record.folder} holds a run with {settings}: another hydra.sweep.dir keeps both"
            )


def _setting(key: str, value: object) -> str:
    return f"no {key}" if value is _MISSING else f"{key}={value}"
