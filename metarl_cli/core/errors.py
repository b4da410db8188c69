"""Errors with a meaning for the user; the command line turns each into one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """The request is wrong (configuration, path, checkpoint): exit code 2."""


class RunError(Exception):
    """The request is right but the run failed (non-finite numbers, disk full): exit code 1."""


class NonFiniteError(RunError):
    """A NaN or infinity in an observation, reward, loss, gradient or parameter."""


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with the files of a folder into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror or error}") from error
