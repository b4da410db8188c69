"""Did-you-mean for names, options and dotted keys; imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(word: str, options: Iterable[str]) -> str:
    """Return ` Did you mean ...?` with the closest option, or nothing if none is close.

    Leading parts that two dotted keys share do not count as likeness, nor do case and hyphens.
    """
    scored = [(_likeness(word, option), option) for option in options]
    best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return f" Did you mean {best[1]}?" if best[0] >= 0.5 else ""


def one_line(error: BaseException) -> str:
    """Return the message of an error with all white space folded."""
    return " ".join(str(error).split()) or type(error).__name__


def _likeness(word: str, option: str) -> float:
    left, right = _plain(word).split("."), _plain(option).split(".")
    while len(left) > 1 and len(right) > 1 and left[0] == right[0]:
        left, right = left[1:], right[1:]
    return difflib.SequenceMatcher(None, ".".join(left), ".".join(right)).ratio()


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
