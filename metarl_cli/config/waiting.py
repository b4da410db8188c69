"""A line on the terminal while libraries are loaded, which takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
ERASE = "\r\x1b[K"


class Waiting:
    """Shows a text on stderr until there is something else to say; only on a terminal.

    Args:
        text: what is being done; empty to show nothing.
    """

    def __init__(self, text: str) -> None:
        self._shown = bool(text) and sys.stderr.isatty()
        if self._shown:
            sys.stderr.write(f"{text} ...")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the text away; may be called again."""
        if self._shown:
            self._shown = False
            sys.stderr.write(ERASE)
            sys.stderr.flush()

    def until(self, function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """Return the function that first takes the text away."""

        def ended(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            self.end()
            return function(*args, **kwargs)

        return ended
