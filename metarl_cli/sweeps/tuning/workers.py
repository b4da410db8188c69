"""The processes that work on a study, and which of them are still there.

Each has a file that it keeps locked and touches from time to time. On its own machine the lock
tells: the kernel lets go of it whatever the process died of. From elsewhere, where a lock may not
be seen, the file's age tells, by the clock of the file system that both have in common.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
from pathlib import Path
from typing import IO

from metarl_cli.core.errors import writing_into
from metarl_cli.core.files import is_locked


class Workers:
    """This process among those that work on a study.

    Args:
        folder: of the files, in the study's.
        lost_after_s: seconds without a sign of life after which a process elsewhere counts as dead.
        host: name of this machine; None asks the system.
    """

    def __init__(self, folder: Path, *, lost_after_s: float, host: str | None = None) -> None:
        self._folder, self._lost_after_s = folder, lost_after_s
        self._host = re.sub(r"[^\w.-]", "_", socket.gethostname() if host is None else host)
        self.name = f"{self._host}@{os.getpid()}-{secrets.token_hex(4)}"
        with writing_into(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self._path(self.name).open("xb")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def beat(self) -> None:
        """Give a sign of life."""
        os.utime(self._file.fileno())

    def is_alive(self, name: str) -> bool:
        """Tell whether a process, known by its name, still works on the study."""
        if name == self.name:
            return True
        try:
            with self._path(name).open("rb") as file:
                if name.partition("@")[0] == self._host:
                    return is_locked(file)
                silent_s = self._now() - os.fstat(file.fileno()).st_mtime
                return silent_s < self._lost_after_s
        except OSError:  # it has left in good order
            return False

    def leave(self) -> None:
        """Take this process off the list."""
        self._path(self.name).unlink(missing_ok=True)
        self._file.close()

    def _path(self, name: str) -> Path:
        return self._folder / f"{Path(name).name}.alive"

    def _now(self) -> float:
        """Seconds by the clock that dates the files."""
        self.beat()
        return os.fstat(self._file.fileno()).st_mtime
