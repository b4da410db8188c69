"""The folder of one run, and how to find it again."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.version import VERSION
from metarl_cli.runtime.checkpoint import CheckpointStore, Manifest, read_manifest, write_json

PACKAGES = ("torch", "mujoco", "gymnasium", "numpy", "hydra-core", "wandb")
REFERENCE = "reference"  # shipped runs below outputs/: never meant by `latest`


class RunFolder:
    """Paths of a run: config.yaml, metrics.jsonl, checkpoints/, eval.json, meta.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.record = path / "metrics.jsonl"
        self.meta = path / "meta.json"
        self.eval = path / "eval.json"
        self._lock: IO[str] | None = None

    def store(self, keep: int = 1) -> CheckpointStore:
        """The run's checkpoints."""
        return CheckpointStore(self.path / "checkpoints", keep)

    def lock(self) -> None:
        """Claim the run for this process until it ends; refuse if another process has it."""
        if self._lock is not None:
            return
        with writing_into(self.path):
            file = (self.path / ".lock").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"another process is training in {self.path}") from error
            self._lock = file

    def update_meta(self, **facts: Any) -> None:
        """Merge facts into meta.json."""
        write_json(self.meta, self.read_meta() | facts)

    def read_meta(self) -> dict[str, Any]:
        """Facts written so far; empty if there are none."""
        try:
            content = json.loads(self.meta.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def find_checkpoint(
    reference: str, outputs: Path = Path("outputs")
) -> tuple[RunFolder, Manifest | None]:
    """Find what `checkpoint=` or `resume=` means.

    Args:
        reference: a checkpoint file, a run folder, `latest` (newest run) or `best` (the best
            checkpoint of the newest run).
        outputs: where runs are looked for.

    Returns:
        The run and the checkpoint's manifest; None stands for the newest intact one.
    """
    if reference in ("latest", "best"):
        run = _newest_run(outputs)
        if reference == "latest":
            return run, None
        if (best := run.store().best()) is None:
            raise UserError(f"{run.path} has no best checkpoint yet (no evaluation was due)")
        return run, best
    path = Path(reference)
    if path.is_dir():
        return _run_with_checkpoints(path), None
    if not path.is_file():
        raise UserError(f"no checkpoint at {reference}: neither a file nor a run folder")
    if (manifest := read_manifest(path.with_suffix(".json"))) is None:
        raise UserError(f"{path} has no manifest beside it: not a checkpoint of metarl")
    return _run_with_checkpoints(path.parent.parent), manifest


def _run_with_checkpoints(path: Path) -> RunFolder:
    run = RunFolder(path)
    if not run.config.is_file():
        raise UserError(f"{path} is not the folder of a run: it has no config.yaml")
    if not run.store().manifests():
        raise UserError(f"{path} has no checkpoint")
    return run


def _newest_run(outputs: Path) -> RunFolder:
    manifests = [
        p
        for p in outputs.glob("**/checkpoints/ckpt-*.json")
        if REFERENCE not in p.relative_to(outputs).parts
    ]
    if not manifests:
        raise UserError(f"no run with a checkpoint below {outputs.resolve()}: train one first")
    newest = max(manifests, key=_modified_ns)
    return _run_with_checkpoints(newest.parent.parent)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # pruned by its run in this moment
        return 0


def environment_facts() -> dict[str, Any]:
    """Versions, machine, commit and command line: what a reader needs to repeat the run."""
    return {
        "command": _command_line(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": {"metarl-cli": VERSION} | {name: _version(name) for name in PACKAGES},
        "commit": _git_commit(),
    }


def _command_line() -> list[str]:
    """What the user typed; `sys.argv` is rewritten on its way to Hydra."""
    words = sys.orig_argv
    starts = [i for i, word in enumerate(words) if Path(word).name in ("metarl", "metarl_cli.cli")]
    return ["metarl", *words[starts[0] + 1 :]] if starts else list(sys.argv)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the checkout that the code runs from, marked if there are local changes."""
    where = Path(__file__).resolve().parents[2]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=where,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def new_folder(command: str, name: str) -> Path:
    """Name the folder, not made yet, for what a command writes about a run."""
    now = datetime.now()
    return Path(f"outputs/{command}/{now:%Y-%m-%d}/{now:%H-%M-%S-%f}-{name}")
