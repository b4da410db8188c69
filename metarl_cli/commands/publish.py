"""`metarl publish`: small copies of finished runs that others can check, and their table."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.commands.parts.run_curves import draw_curves
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.files import read_regular, write_atomically, write_json
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.tables import reference_table
from metarl_cli.reports.thin import thin
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.checkpoint_file import load_file
from metarl_cli.runtime.evaluation import Evaluation
from metarl_cli.runtime.find_runs import find_checkpoint, find_runs
from metarl_cli.runtime.manifest import Manifest, read_manifest
from metarl_cli.runtime.run_record import RunFiles, RunRecord

MOST_CONFIG_BYTES = 1_000_000
MOST_ROWS = 500
REFERENCE = Path("outputs/reference")


def run(cfg: DictConfig) -> int:
    """Copy config, thinned record, eval.json and the checkpoint it measured; draw the curves."""
    if cfg.checkpoint is None:
        published = sorted(find_runs(REFERENCE), key=lambda run: run.folder)
        LastingConsole(soft_wrap=True, markup=False).print(reference_table(published))
        return 0
    run, _ = find_checkpoint(cfg.checkpoint)
    known = run.identity
    if run.fault or known.status != "finished":
        reason = run.fault or f"it is {known.status or 'of unknown status'}"
        raise UserError(f"{run.folder} is not a finished run: {reason}")
    if not run.files.record.exists():
        raise UserError(f"{run.folder} has no metrics.jsonl: it was trained without logger=jsonl")
    target = Path(cfg.to or REFERENCE / f"{known.env}-{known.algo}")
    _copy(run, target)
    LastingConsole().print(f"published {run.folder} in {target}", soft_wrap=True)
    return 0


def _copy(run: RunRecord, target: Path) -> None:
    """Read everything first, so that a damaged run leaves no half copy."""
    if target.exists():
        raise UserError(f"{target} exists already; move it away first")
    evaluation, rows = run.evaluation(), thin(list(run.rows()), MOST_ROWS)
    state, manifest = _measured(run, evaluation)
    load_config(run)  # or it could not be tested again
    config = read_regular(run.files.config, most_bytes=MOST_CONFIG_BYTES)
    copy = RunFiles(target)
    with writing_into(target), _whole_or_nothing(target):
        write_atomically(copy.config, config)
        write_atomically(copy.record, "".join(json.dumps(row) + "\n" for row in rows).encode())
        evaluation.write(copy.evaluation)
        write_json(copy.meta, run.identity.published())
        CheckpointStore(copy.checkpoints).save(
            state, env_steps=manifest.env_steps, iteration=manifest.iteration, score=manifest.score
        )
        draw_curves(RunRecord(target))


@contextlib.contextmanager
def _whole_or_nothing(target: Path) -> Iterator[None]:
    """Make a folder, and remove it again if it cannot be filled."""
    target.mkdir(parents=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _measured(run: RunRecord, evaluation: Evaluation) -> tuple[dict[str, Any], Manifest]:
    """Load the measured checkpoint without experience: enough to test it or to train on afresh."""
    path = run.files.checkpoints / Path(evaluation.checkpoint).name
    if (manifest := read_manifest(path.with_suffix(".json"))) is None:
        raise UserError(f"{path}, which {run.files.evaluation.name} measured, has no manifest")
    state = load_file(path, manifest)
    return state | {"experience": {}}, manifest
