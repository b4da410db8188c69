"""One line to the person at the terminal, from code that has no console."""

from __future__ import annotations

import contextlib
import sys


def tell(text: str) -> None:
    """Write one line to stderr; a closed or full stderr is no reason to stop.

    `sys.stderr` is looked up at the call: a live display puts itself there and prints above itself.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(" ".join(text.split()) + "\n")
        sys.stderr.flush()
