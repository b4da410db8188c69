"""Lines of text that fit: as wide as the terminal, 80 columns where there is none."""

from __future__ import annotations

import shutil
import textwrap

WIDTH = 80  # columns without a terminal
WIDEST = 100  # of a terminal: longer lines are hard to read


def width() -> int:
    """Return how many columns a line may take."""
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDEST)


def paragraph(text: str, *, hanging: int = 0) -> str:
    """Return a text in lines that fit; all but the first are indented."""
    return "\n".join(_wrapped(text, "", " " * hanging))


def hanging(start: str, text: str) -> list[str]:
    """Return the lines of a text that begins behind `start` and goes on below its beginning."""
    return _wrapped(text, start, " " * len(start)) or [start.rstrip()]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text,
        width(),
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
