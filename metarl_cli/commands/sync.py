"""`metarl sync`: upload to W&B what stayed offline, or rebuild a run there from its record."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image, ImageSequence

from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.core.protocols import TEST
from metarl_cli.loggers.notices import tell
from metarl_cli.loggers.wandb import WandbLogger
from metarl_cli.runtime.find_runs import find_checkpoint
from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.runtime.runs import RunFolder

UPLOAD = (sys.executable, "-m", "wandb", "sync")
MOST_UPLOAD_S = 3600
PIECES = "wandb/offline-run-*"
DEFAULTS: dict[str, Any] = {"project": "metarl", "entity": None, "group": None, "tags": []}
TIMEOUTS: dict[str, Any] = {"init_timeout_s": 20.0, "finish_timeout_s": 600.0}


def run(cfg: DictConfig) -> int:
    """Bring every run to W&B, one after the other; exit code 1 if an upload fails."""
    runs = [_find(reference) for reference in cfg.runs]
    if not runs:
        raise UserError("runs=[] names no run")
    for record in runs:
        _sync(record, cfg)
    return 0


def _find(reference: str) -> RunRecord:
    folder = Path(reference)
    record = find_checkpoint(reference)[0] if reference == "latest" else RunRecord(folder)
    if not record.files.record.is_file():
        raise UserError(f"{record.folder} is not the folder of a run: it has no metrics.jsonl")
    return record


def _sync(record: RunRecord, cfg: DictConfig) -> None:
    folder = RunFolder(record.folder)
    folder.lock()  # nobody is training in it
    pieces = sorted(record.folder.glob(PIECES))
    whole = len(pieces) == 1 and record.identity.status == "finished"
    if whole and not cfg.rebuild:
        _upload(pieces[0])
    else:
        _set_aside(record.folder / "wandb")
        _rebuild(record, folder, cfg)


def _upload(piece: Path) -> None:
    """Have W&B upload a folder of its own.

    Raises:
        RunError: it did not.
    """
    try:
        done = subprocess.run(
            [*UPLOAD, str(piece)], capture_output=True, text=True, timeout=MOST_UPLOAD_S
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(f"W&B: {piece} is not uploaded after {MOST_UPLOAD_S} s") from error
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        raise RunError(f"W&B: {piece} is not uploaded ({said[-1].strip()})")
    tell(f"W&B: uploaded {piece}")


def _set_aside(folder: Path) -> None:
    """Keep what W&B has of a run from being uploaded beside what is rebuilt."""
    if not folder.exists():
        return
    number = 1
    while (kept := folder.with_name(f"wandb-replaced-{number}")).exists():
        number += 1
    with writing_into(folder.parent):
        os.rename(folder, kept)


def _rebuild(record: RunRecord, folder: RunFolder, cfg: DictConfig) -> None:
    """Log a run again, from its record and the files beside it, under the id that it has."""
    logger = _logger(record, cfg)
    folder.update_meta(wandb_run_id=logger.run_id)
    steps = 0
    for row in record.rows():
        steps = row["env_steps"]
        logger.log({key: x for key, x in row.items() if key != "env_steps"}, steps)
    files = record.files
    if files.evaluation.is_file():
        logger.table(f"{TEST}/adaptation", record.evaluation().table(), steps)
    if files.film.is_file():
        logger.video(TEST, _frames(files.film), steps)
    if files.curves.is_file():
        logger.image("curves", files.curves, steps)
    logger.close(record.identity.status or "failed")


def _logger(record: RunRecord, cfg: DictConfig) -> WandbLogger:
    known, settings = record.identity, load_config(record)
    values: Any = OmegaConf.to_container(settings)
    own: Any = settings.get("logger", {}).get("wandb") or {}
    kept: dict[str, Any] = {key: own.get(key) or default for key, default in DEFAULTS.items()}
    chosen = {key: cfg[key] for key in ("project", "entity") if cfg[key] is not None}
    return WandbLogger(
        cfg.mode,
        **(kept | chosen | TIMEOUTS),
        run_dir=record.folder,
        config=values,
        name=known.label,
        default_group=known.group,
        job_type="train",
        choices=known.choices,
        run_tags=known.labels,
        run_id=known.wandb_run_id,
    )


def _frames(path: Path) -> np.ndarray:
    """Return the pictures of an animated GIF, uint8 `[T, H, W, 3]`."""
    with Image.open(path) as film:
        return np.stack([np.asarray(x.convert("RGB")) for x in ImageSequence.Iterator(film)])
