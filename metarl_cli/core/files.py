"""Reading files that may be anything: a folder, a pipe, gigabytes. Writing them in full or not."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, BinaryIO

from metarl_cli.core.errors import RunError, UserError


@contextmanager
def open_regular(path: Path, *, most_bytes: int | None = None) -> Iterator[BufferedReader]:
    """Open a regular file, or a link to one, for reading.

    Args:
        path: of the file.
        most_bytes: that it may have, if there is a limit.

    Raises:
        UserError: it is something else, too large or cannot be read.
    """
    try:
        # Non-blocking, or opening a pipe without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"cannot read {path}: not a regular file")
            if most_bytes is not None and status.st_size > most_bytes:
                raise UserError(f"cannot read {path}: more than {most_bytes:,} bytes")
            yield file
    except IsADirectoryError as error:
        raise UserError(f"cannot read {path}: not a regular file") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot read {path}: {reason}") from error


def read_regular(path: Path, *, most_bytes: int) -> bytes:
    """Return the content of a regular file of at most `most_bytes`, or raise a UserError."""
    with open_regular(path, most_bytes=most_bytes) as file:
        return file.read(most_bytes)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there in full."""
    with writing_atomically(path) as file:
        file.write(data)


@contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that takes the place of `path` when all went well."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # a link of this name would lead elsewhere
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; a failure to write is a RunError."""
    try:
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def is_locked(file: IO[bytes]) -> bool:
    """Whether another process holds a lock on an open file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
