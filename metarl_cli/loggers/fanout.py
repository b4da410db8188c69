"""Several loggers as one: a record that must not fail and mirrors that may."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarl_cli.core.protocols import Logger, ShowsImages, ShowsTables, Table
from metarl_cli.loggers.jsonl import JsonlLogger
from metarl_cli.loggers.notices import tell


class Fanout:
    """Calls each logger in order.

    Errors of the record (`JsonlLogger`) propagate: a run without a record is worth nothing. Any
    other logger is a mirror: its first error is reported once and it is not called again, except
    to close it.
    """

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = list(loggers)
        self._broken: set[int] = set()

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Send a row to every logger."""
        self._each(lambda logger: logger.log(metrics, step))

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Send frames `[T, H, W, 3]` uint8 to every logger."""
        self._each(lambda logger: logger.video(name, frames, step))

    def image(self, name: str, path: Path, step: int) -> None:
        """Send a picture to every logger that shows such."""

        def show(logger: Logger) -> None:
            if isinstance(logger, ShowsImages):
                logger.image(name, path, step)

        self._each(show)

    def table(self, name: str, table: Table, step: int) -> None:
        """Send a table to every logger that shows such."""

        def show(logger: Logger) -> None:
            if isinstance(logger, ShowsTables):
                logger.table(name, table, step)

        self._each(show)

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Send a file to every logger."""
        self._each(lambda logger: logger.artifact(path, kind, aliases))

    def notice(self, text: str) -> None:
        """Send one line for the user to every logger."""
        self._each(lambda logger: logger.notice(text))

    def close(self, status: str) -> None:
        """Close every logger, broken ones too; the record's error is raised after the last."""
        failure: Exception | None = None
        for logger in self._loggers:
            try:
                logger.close(status)
            except Exception as error:
                if isinstance(logger, JsonlLogger):
                    failure = error
                else:
                    self._report(logger, error)
        if failure is not None:
            raise failure

    def _each(self, call: Callable[[Logger], None]) -> None:
        for logger in self._loggers:
            if isinstance(logger, JsonlLogger):
                call(logger)
            elif id(logger) not in self._broken:
                self._call_mirror(logger, call)

    def _call_mirror(self, logger: Logger, call: Callable[[Logger], None]) -> None:
        try:
            call(logger)
        except Exception as error:
            self._report(logger, error)

    def _report(self, logger: Logger, error: Exception) -> None:
        if id(logger) not in self._broken:
            self._broken.add(id(logger))
            tell(f"{type(logger).__name__} stopped working, the run goes on: {error!r}")
