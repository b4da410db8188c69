"""Time without gaps: every lap begins where the one before it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable


class Laps:
    """Adds up the seconds of named laps.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = defaultdict(float)
        self._last = clock()

    def restart(self) -> None:
        """Begin a lap now, without what came before."""
        self._last = self._clock()

    def end(self, name: str) -> float:
        """End the present lap under a name, begin the next one, return its seconds."""
        now = self._clock()
        lap, self._last = now - self._last, now
        self._seconds[name] += lap
        return lap

    def take(self) -> dict[str, float]:
        """Return the seconds by name since the last time, and start from zero."""
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken
