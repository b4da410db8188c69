"""When a robot has fallen, and what standing is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarl_cli.core.checks import require_not_negative, require_positive, require_range


class Healthy:
    """The states from which an episode goes on, as gymnasium's robots define them.

    Args:
        height_range: `[low, high]` of the root's height, m.
        pitch_range: `[low, high]` of the root's pitch, rad, for robots confined to a plane; None
            for no such limit.
        state_limit: the largest size of all coordinates and rates but the root's place and height,
            m, rad, m/s and rad/s; None for no such limit.
        bonus: reward of every step that ends in a healthy state.
    """

    def __init__(
        self,
        *,
        height_range: Sequence[float],
        pitch_range: Sequence[float] | None,
        state_limit: float | None,
        bonus: float,
    ) -> None:
        require_not_negative(bonus=bonus)
        if state_limit is not None:
            require_positive(state_limit=state_limit)
        self._height = require_range("height_range", height_range)
        self._pitch = None if pitch_range is None else require_range("pitch_range", pitch_range)
        self._state_limit = state_limit
        self.bonus = bonus

    def judge(self, height: np.ndarray, others: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return which robots are healthy, bool `[B]`.

        Args:
            height: of the root, `[B]`, m.
            others: the coordinates that follow it, `[B, Q]`, m and rad; the first is the pitch if
                the robot is confined to a plane.
            rates: of all coordinates, `[B, V]`.
        """
        healthy = _between(height, self._height)
        if self._pitch is not None:
            healthy &= _between(others[:, 0], self._pitch)
        if self._state_limit is not None:
            healthy &= (np.abs(others) < self._state_limit).all(axis=1)
            healthy &= (np.abs(rates) < self._state_limit).all(axis=1)
        return healthy


def _between(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return (values > bounds[0]) & (values < bounds[1])
