"""Finding runs, and the checkpoint that somebody means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from metarl_cli.core.errors import UserError
from metarl_cli.runtime.manifest import Manifest, read_manifest
from metarl_cli.runtime.run_record import RunFiles, RunRecord

REFERENCE = "reference"  # shipped runs below outputs/: never meant by `latest`


def find_runs(outputs: Path) -> list[RunRecord]:
    """Return the runs below a folder, the newest first.

    A run is a folder with a meta.json, or with a configuration and checkpoints. What lies below one
    belongs to it: W&B keeps copies of a run's files there, which are no runs.
    """
    return sorted(_runs_below(outputs), key=lambda run: -_modified_ns(run.files.meta))


def find_checkpoint(
    reference: str, outputs: Path = Path("outputs")
) -> tuple[RunRecord, Manifest | None]:
    """Find what `checkpoint=` or `resume=` means.

    Args:
        reference: a checkpoint file, a run folder, `latest` (newest run) or `best` (the best
            checkpoint of the newest run).
        outputs: where runs are looked for.

    Returns:
        The run and the checkpoint's manifest; None stands for the newest intact one.
    """
    if reference in ("latest", "best"):
        run = _newest_with_checkpoint(outputs)
        if reference == "latest":
            return run, None
        if (best := run.checkpoints().best()) is None:
            raise UserError(f"{run.folder} has no best checkpoint yet (no evaluation was due)")
        return run, best
    path = Path(reference)
    if path.is_dir():
        return _run_with_checkpoints(path), None
    if not path.is_file():
        raise UserError(f"no checkpoint at {reference}: neither a file nor a run folder")
    if (manifest := read_manifest(path.with_suffix(".json"))) is None:
        raise UserError(f"{path} has no manifest beside it: not a checkpoint of metarl")
    return _run_with_checkpoints(path.parent.parent), manifest


def _runs_below(outputs: Path) -> Iterator[RunRecord]:
    for folder, below, names in os.walk(outputs):
        files = RunFiles(Path(folder))
        trained = files.config.name in names and files.checkpoints.name in below
        if trained or files.meta.name in names:
            below.clear()
            yield RunRecord(files.folder)


def _run_with_checkpoints(path: Path) -> RunRecord:
    run = RunRecord(path)
    if not run.files.config.is_file():
        raise UserError(f"{path} is not the folder of a run: it has no config.yaml")
    if not run.checkpoints().manifests():
        raise UserError(f"{path} has no checkpoint")
    return run


def _newest_with_checkpoint(outputs: Path) -> RunRecord:
    """Return the run that has written a checkpoint last."""
    runs = [
        run
        for run in _runs_below(outputs)
        if REFERENCE not in run.folder.relative_to(outputs).parts and _last_checkpoint_ns(run)
    ]
    if not runs:
        raise UserError(f"no run with a checkpoint below {outputs.resolve()}: train one first")
    return _run_with_checkpoints(max(runs, key=_last_checkpoint_ns).folder)


def _last_checkpoint_ns(run: RunRecord) -> int:
    return max(map(_modified_ns, run.files.checkpoints.glob("ckpt-*.json")), default=0)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # missing, or pruned by its run in this moment
        return 0
