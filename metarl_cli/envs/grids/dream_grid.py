"""What the grid worlds of DREAM have in common: Liu et al. 2021 (arXiv:2008.02790) and its code.

A cell (x, y), (0, 0) at the bottom left, is counted as `x * size + y`.
"""

from __future__ import annotations

import numpy as np

LEFT, UP, RIGHT, DOWN, STAY, RIDE, END, PICK, DROP = range(9)  # all worlds have all nine actions
NUM_ACTIONS = 9

_MOVES = {LEFT: (-1, 0), UP: (0, 1), RIGHT: (1, 0), DOWN: (0, -1)}


def cells(places: np.ndarray, size: int) -> np.ndarray:
    """Return the numbers of cells (x, y), `[..., 2] -> [...]`."""
    return places[..., 0] * size + places[..., 1]


def places(cells: np.ndarray, size: int) -> np.ndarray:
    """Return (x, y) of numbered cells, `[...] -> [..., 2]`."""
    return np.stack(np.divmod(cells, size), -1)


def walk_table(size: int) -> np.ndarray:
    """Return where each action leads to from each cell, `[9, size^2]`; walls stop the walker."""
    table = np.tile(np.arange(size**2), (NUM_ACTIONS, 1))
    for action, move in _MOVES.items():
        table[action] = cells(np.clip(places(table[action], size) + move, 0, size - 1), size)
    return table
