"""Writing into a run folder: claiming it, and noting what the run is and how it goes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import stat
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.files import read_regular, write_json
from metarl_cli.core.version import VERSION
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.run_record import MOST_META_BYTES, RunFiles

PACKAGES = ("torch", "mujoco", "gymnasium", "numpy", "hydra-core", "wandb")
PROGRAMS = (
    "metarl",
    "metarl_cli",
    "metarl_cli.cli",
    "metarl_cli.sweeps.job",
)  # that the command line names
LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RunFolder:
    """The folder of a run that is about to start or to go on; `RunRecord` is for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = RunFiles(path)
        self._lock: IO[bytes] | None = None

    def store(self, keep: int = 1) -> CheckpointStore:
        """The run's checkpoints, of which the last `keep` and the best stay."""
        return CheckpointStore(self.files.checkpoints, keep)

    def lock(self) -> None:
        """Claim the run for this process until it ends; refuse if another process has it.

        What earlier processes left half-written is removed. The files that are written in place,
        the lock and the record, must be files of the run's own: a link in a stranger's run would
        lead the writing elsewhere.
        """
        if self._lock is not None:
            return
        with writing_into(self.path):
            _require_own(self.files.lock)
            _require_own(self.files.record)
            file = os.fdopen(os.open(self.files.lock, LOCK_FLAGS, 0o644), "rb+", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"another process is training in {self.path}") from error
            self._lock = file
            self._remove_leftovers()

    def update_meta(self, **facts: Any) -> None:
        """Merge facts into meta.json."""
        write_json(self.files.meta, self.read_meta() | facts)

    def read_meta(self) -> dict[str, Any]:
        """Facts written so far; empty if there are none."""
        try:
            content = json.loads(read_regular(self.files.meta, most_bytes=MOST_META_BYTES))
        except (UserError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def _remove_leftovers(self) -> None:
        for path in self.path.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                path.unlink()


def _require_own(path: Path) -> None:
    """Raise an OSError if there is something else than a regular file of this very name."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, f"{path.name} is not a regular file")


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
    starts = [i for i, word in enumerate(words) if Path(word).name in PROGRAMS]
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
