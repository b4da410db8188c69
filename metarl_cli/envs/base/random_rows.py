"""Random numbers with one independent stream per environment of a batch.

A stream is a counter run through the SplitMix64 mixing function (Steele, Lea and Flood 2014, "Fast
splittable pseudorandom number generators"), so its whole state is two integers, drawing is
vectorised over rows, and row i gives the same numbers whatever the size of the batch around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, made odd
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)


def one_of(pool: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Choose members of `pool` `[P, ...]`, all as likely, by numbers `[N]` from U[0, 1)."""
    return pool[(uniform * len(pool)).astype(np.int64)]


class RowRandom:
    """`num_rows` independent random streams; unseeded rows start from the system's entropy."""

    def __init__(self, num_rows: int) -> None:
        self._seeds = np.random.SeedSequence().generate_state(num_rows, np.uint64)
        self._counters = np.zeros(num_rows, np.uint64)

    def seed(self, seeds: Sequence[int] | np.ndarray, rows: np.ndarray | None = None) -> None:
        """Start the streams of `rows` (default all) again from `seeds`, one each."""
        selected = slice(None) if rows is None else rows
        self._seeds[selected] = np.asarray(seeds, np.uint64)
        self._counters[selected] = 0

    def uniform(self, size: int, rows: np.ndarray) -> np.ndarray:
        """Draw `[len(rows), size]` float64 from U[0, 1) with 53 random bits."""
        return (self._bits(size, rows) >> np.uint64(11)) * 2.0**-53

    def normal(self, size: int, rows: np.ndarray) -> np.ndarray:
        """Draw `[len(rows), size]` float64 from N(0, 1) with the Box-Muller transform."""
        half = (size + 1) // 2
        uniform = self.uniform(2 * half, rows)
        radius = np.sqrt(-2.0 * np.log1p(-uniform[:, :half].copy()))
        angle = 2.0 * np.pi * uniform[:, half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :size]

    def skip(self, size: int, rows: np.ndarray) -> None:
        """Move the streams of `rows` on as if `size` numbers had been drawn from each."""
        self._counters[rows] += np.uint64(size)

    def _bits(self, size: int, rows: np.ndarray) -> np.ndarray:
        counters = self._counters[rows][:, None] + np.arange(1, size + 1, dtype=np.uint64)
        self.skip(size, rows)
        return _mix(_mix(self._seeds[rows])[:, None] + counters * _GOLDEN)


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * _MULTIPLIER_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MULTIPLIER_2
    return bits ^ (bits >> np.uint64(31))
