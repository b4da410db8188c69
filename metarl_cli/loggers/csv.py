"""The record as a table for spreadsheets and data frames: metrics.csv, a column per metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metarl_cli.core.files import write_atomically
from metarl_cli.core.protocols import TEST
from metarl_cli.loggers.jsonl import Row, to_row


class CsvLogger:
    """Appends rows to `metrics.csv`; a metric that comes up later gets a column then.

    A cell is empty where a row does not have the metric. Numbers are read back as they were.

    Args:
        run_dir: folder of the run.
        initial_step: environment steps of the checkpoint that a resumed run goes on from; what
            was written after it is dropped, for it comes again.
    """

    def __init__(self, *, run_dir: str | Path, initial_step: int = 0) -> None:
        self.path = Path(run_dir) / "metrics.csv"
        self._columns: list[str] = []
        kept = [row for row in self._read() if _stays(row, initial_step)]
        self._write_all(kept, self._columns if kept else [])

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Append a row."""
        row = to_row(metrics, step)
        if new := [key for key in row if key not in self._columns]:
            self._write_all(self._read(), [*self._columns, *new])
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Ignore videos: they are files of their own."""

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Ignore artifacts: they are files of their own."""

    def notice(self, text: str) -> None:
        """Ignore notices: they are for people."""

    def close(self, status: str) -> None:
        """Do nothing: each row is written when it comes."""

    def _read(self) -> list[Row]:
        """Return the rows so far and take over their columns; a torn last one is left out."""
        if not self.path.is_file():
            return []
        whole = self.path.read_text(encoding="utf-8").rpartition("\n")[0]
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        rows = list(reader)
        self._columns = list(reader.fieldnames or [])
        return rows

    def _write_all(self, rows: list[Row], columns: list[str]) -> None:
        self._columns = columns
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        if columns:
            writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path, text.getvalue().encode())


def _stays(row: Row, initial_step: int) -> bool:
    """Say whether a row is from before the checkpoint; the final test is made anew in any case."""
    tested = any(value for key, value in row.items() if key and key.startswith(f"{TEST}/"))
    steps = row.get("env_steps") or ""
    return not tested and steps.isdigit() and int(steps) <= initial_step
