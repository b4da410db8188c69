"""Fewer rows of a long record, for curves small enough to publish."""

from __future__ import annotations

from collections.abc import Sequence

from metarl_cli.core.protocols import TEST, VALIDATION
from metarl_cli.loggers.jsonl import Row

TESTED = (f"{VALIDATION}/", f"{TEST}/")


def thin(rows: Sequence[Row], most: int) -> list[Row]:
    """Keep at most `most` rows, evenly spread, and among them every row with an evaluation.

    Numbers of `train/` keys become the mean over the rows that a kept row stands for.
    """
    if len(rows) <= most:
        return list(rows)
    tested = [i for i, row in enumerate(rows) if any(key.startswith(TESTED) for key in row)]
    tested = tested[-most:]
    free = most - len(tested)
    spread = [round((i + 1) * len(rows) / free) - 1 for i in range(free)] if free else []
    kept = sorted({*tested, *spread, len(rows) - 1} if free else {*tested})
    starts = [0, *(i + 1 for i in kept[:-1])]
    return [_merge(rows[a : b + 1]) for a, b in zip(starts, kept, strict=True)]


def _merge(rows: Sequence[Row]) -> Row:
    """The last row, with `train/` keys averaged over all."""
    last = dict(rows[-1])
    for key in last:
        values = [row[key] for row in rows if isinstance(row.get(key), float)]
        if key.startswith("train/") and values:
            last[key] = sum(values) / len(values)
    return last
