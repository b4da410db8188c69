"""One name for each number of adaptations, in figures and films."""

from __future__ import annotations


def in_words(adaptations: int, most: int) -> str:
    """Return `before adaptation`, `after 1 adaptation`, and so on, or that there is no second."""
    if most == 0:
        return "the one episode of a trial"
    if adaptations == 0:
        return "before adaptation"
    return f"after {adaptations} adaptation{'s' * (adaptations > 1)}"
