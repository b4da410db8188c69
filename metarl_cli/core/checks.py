"""Settings made sure of before they are used: one clear line names the first wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def require_positive(**values: float) -> None:
    """Raise ValueError for the first named value that is not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name}: got {value}, expected a number > 0")


def require_at_least(least: float, **values: float) -> None:
    """Raise ValueError for the first named value that is below `least`."""
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name}: got {value}, expected a number >= {least:g}")


def require_not_negative(**values: float) -> None:
    """Raise ValueError for the first named value that is below zero."""
    require_at_least(0, **values)


def require_fraction(**values: float) -> None:
    """Raise ValueError for the first named value that is not from 0 to 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: got {value}, expected a number from 0 to 1")


def require_between(low: float, high: float, **values: float) -> None:
    """Raise ValueError for the first named value that is not strictly between two numbers."""
    for name, value in values.items():
        if not low < value < high:
            raise ValueError(f"{name}: got {value}, expected a number between {low:g} and {high:g}")


def require_sizes(name: str, sizes: Sequence[int]) -> None:
    """Raise ValueError unless there are layer sizes, all of them positive."""
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{name}: got {list(sizes)}, expected one or more positive layer sizes")


def require_range(name: str, bounds: Sequence[float]) -> tuple[float, float]:
    """Return `[low, high]` as a pair of floats, or raise ValueError if it is not an interval."""
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise ValueError(f"{name}: got {list(bounds)}, expected [low, high] with low < high")
    return float(bounds[0]), float(bounds[1])


def require_choice(name: str, value: Any, legal: Sequence[Any]) -> None:
    """Raise ValueError if the named value is not one of the legal ones."""
    if value not in legal:
        raise ValueError(f"{name}: got {value!r}, expected one of {list(legal)}")
