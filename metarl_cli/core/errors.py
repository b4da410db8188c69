"""Errors with a meaning for the user; the command line turns each into one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """The request is wrong (configuration, path, checkpoint): exit code 2."""


class RunError(Exception):
    """The request is right but the run failed (non-finite numbers, disk full): exit code 1."""


class NonFiniteError(RunError):
    """A NaN or infinity in an observation, reward, loss, gradient or parameter."""


# The machine has no more of something; asking for another place would have been no better.
EXHAUSTED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with the files of a folder into one line.

    Raises:
        RunError: the disk is full or broken.
        UserError: anything else, a folder that may not be written to, for instance.
    """
    try:
        yield
    except OSError as error:
        kind = RunError if error.errno in EXHAUSTED else UserError
        raise kind(f"cannot write into {folder}: {error.strerror or error}") from error
