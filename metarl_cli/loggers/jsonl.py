"""The record of a run: one JSON object per row in an append-only file.

Everything else (W&B, tables, figures) is a mirror or a view of this file.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.files import open_regular

MOST_BYTES = 10 * 2**30  # of a record that is read
MOST_LINE_BYTES = 2**20
MOST_DIGITS = 20  # of a whole number

Row = dict[str, Any]


class JsonlLogger:
    """Appends rows to `record_path`; each is on its way to the disk before `log` returns."""

    def __init__(self, *, record_path: str | Path) -> None:
        self.path = Path(record_path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("ab", buffering=0)
        except OSError as error:
            raise UserError(f"cannot write the record {self.path}: {error.strerror}") from error
        if self.path.is_file():
            self.truncate(_whole_rows(self.path))

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Append `{"env_steps": step, **metrics}`; NaN and infinity become null."""
        line = json.dumps(to_row(metrics, step), allow_nan=False) + "\n"
        self._append(line.encode())

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Ignore videos: they are files of their own."""

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Ignore artifacts: they are files of their own."""

    def notice(self, text: str) -> None:
        """Ignore notices: they are for people."""

    def position(self) -> int:
        """Return the length of the record in bytes; a checkpoint stores it."""
        return os.fstat(self._file.fileno()).st_size

    def truncate(self, position: int) -> None:
        """Drop what was written after `position` bytes: a resumed run writes it again."""
        if position < self.position():
            self._file.truncate(position)

    def sync(self) -> None:
        """Force the record onto the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def close(self, status: str) -> None:
        """Sync and close, whatever the status."""
        if self._file.closed:
            return
        try:
            self.sync()
        finally:
            self._file.close()

    def _append(self, line: bytes) -> None:
        self._require_in_place()
        start = self.position()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # leave no torn row behind
                self._file.truncate(start)
            raise self._failure(error) from error

    def _require_in_place(self) -> None:
        """Raise a RunError if rows would go into a file that nobody can find any more."""
        try:
            in_place = os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno()))
        except OSError:
            in_place = False
        if not in_place:
            raise RunError(
                f"the record {self.path} was removed or replaced while the run was writing to it"
            )

    def _failure(self, error: OSError) -> RunError:
        return RunError(f"cannot write the record {self.path}: {error.strerror}")


class RowFollower:
    """Reads what a record has gained since the last look, for whoever watches a running process."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def new_rows(self) -> list[Row]:
        """Return the rows that were added; none as long as there is no record.

        A resumed run cuts its record back and goes on: then all is read again if it has become
        shorter, and what is no row, for the look fell into the middle of one, is passed over.
        """
        try:
            with open_regular(self._path, most_bytes=MOST_BYTES) as file:
                if os.fstat(file.fileno()).st_size < self._position:
                    self._position = 0
                file.seek(self._position)
                data = file.read()
        except UserError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        rows = []
        for line in whole.splitlines():
            with contextlib.suppress(UserError):
                rows.append(_row(line, str(self._path)))
        return rows


def to_row(metrics: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return a row of plain JSON values: arrays become lists, NaN and infinity None."""
    return {"env_steps": int(step)} | {key: _plain(value) for key, value in metrics.items()}


def read_rows(path: str | Path) -> list[Row]:
    """Read a whole record; see `iterate_rows`."""
    return list(iterate_rows(Path(path)))


def iterate_rows(path: Path) -> Iterator[Row]:
    """Read a record row by row; a last line that a crash tore off is left out.

    Raises:
        UserError: the file cannot be read, or a line before the last is no row.
    """
    with open_regular(path, most_bytes=MOST_BYTES) as file:
        for number in itertools.count(1):
            line = file.readline(MOST_LINE_BYTES)
            if not line.endswith(b"\n") and len(line) < MOST_LINE_BYTES:
                return
            if line.strip():
                yield _row(line, f"{path}, line {number}")


def _row(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: damaged, it is no JSON") from error
    if not isinstance(row, dict) or type(row.get("env_steps")) is not int:
        raise UserError(f"{where}: not a row of a record, it has no env_steps")
    return row


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:  # it would not fit into a float, nor be a count of anything
        raise ValueError("a number of too many digits")
    return int(digits)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy or torch, scalar or array
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _whole_rows(path: Path) -> int:
    """Return the length in bytes of the record without a torn last line."""
    return path.read_bytes().rfind(b"\n") + 1
