"""`metarl publish`: small copies of finished runs that others can check, and their table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from metarl_cli.core.errors import UserError
from metarl_cli.loggers.jsonl import read_rows
from metarl_cli.reports.figures import run_figure
from metarl_cli.reports.tables import reference_table
from metarl_cli.reports.thin import thin
from metarl_cli.runtime.checkpoint import (
    CheckpointStore,
    load_file,
    read_manifest,
    write_atomically,
    write_json,
)
from metarl_cli.runtime.runs import RunFolder, find_checkpoint

MOST_ROWS = 500
REFERENCE = Path("outputs/reference")


def run(cfg: DictConfig) -> int:
    """Copy config, thinned record, eval.json and the checkpoint it measured; draw the curves."""
    if cfg.checkpoint is None:
        Console(soft_wrap=True, markup=False).print(reference_table(REFERENCE))
        return 0
    run, _ = find_checkpoint(cfg.checkpoint)
    meta = run.read_meta()
    if meta.get("status") != "finished" or not run.eval.is_file():
        raise UserError(f"{run.path} is not a finished run: it has no meta-test")
    if not run.record.is_file():
        raise UserError(f"{run.path} has no metrics.jsonl: it was trained without logger=jsonl")
    target = Path(cfg.to or REFERENCE / f"{meta['env']}-{meta['algo']}")
    _copy(run, target)
    Console().print(f"published {run.path} in {target}", soft_wrap=True)
    return 0


def _copy(run: RunFolder, target: Path) -> None:
    checkpoints = target / "checkpoints"
    if target.exists():
        raise UserError(f"{target} exists already; move it away first")
    target.mkdir(parents=True)
    document = json.loads(run.eval.read_text())
    for file in (run.config, run.eval):
        shutil.copy(file, target / file.name)
    meta = {key: x for key, x in run.read_meta().items() if key != "wandb_run_id"}  # not theirs
    write_json(target / run.meta.name, meta)
    _copy_checkpoint(run.store().folder / Path(document["checkpoint"]).name, checkpoints)
    rows = thin(read_rows(run.record), MOST_ROWS)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(target / run.record.name, text.encode())
    run_figure(rows, document, target / "curves.png")


def _copy_checkpoint(path: Path, folder: Path) -> None:
    """Copy a checkpoint without stored experience: enough to measure it, and to train on afresh."""
    manifest = read_manifest(path.with_suffix(".json"))
    state = load_file(path, manifest)
    assert manifest is not None  # or `load_file` would have refused
    CheckpointStore(folder).save(
        state | {"experience": {}},
        env_steps=manifest.env_steps,
        iteration=manifest.iteration,
        score=manifest.score,
    )
