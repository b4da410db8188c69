"""One moment of a trial: the path so far, the goal, and what is believed of where it is."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.patches import Rectangle

CHANCE = PowerNorm(0.5, 0.0, 1.0)  # tells 0 from 1 / number of goals
COLORS, _NO_GOAL = "Blues", "#e4e4e4"
_PATH, _GOAL, _FRAME = "#e6550d", "#2ca02c", "#a0a0a0"
_TIME = LinearSegmentedColormap.from_list("time", ["#fdd0a2", _PATH, "#7f2704"])
_RINGS = (1.25, 1.55)  # where they begin, in radii of the semicircle: room for the path inside
_WIDTH = 0.24

Beliefs = dict[str, np.ndarray]  # by kind (learned, exact), what is expected on each goal, [G]


def cells_panel(
    axes: Axes, goals: np.ndarray, goal: np.ndarray, beliefs: Beliefs, path: np.ndarray
) -> None:
    """Colour the cells of a grid by one belief.

    Args:
        axes: where to draw.
        goals: `[G, 2]`, cells that may be the goal.
        goal: `[2]`, the one that is.
        beliefs: of one kind.
        path: `[T, 2]`, places so far.
    """
    (chance,) = beliefs.values()
    cells = goals.astype(int)
    size = cells.max() + 1
    grid = np.full((size, size), np.nan)  # [y, x]
    grid[cells[:, 1], cells[:, 0]] = chance.clip(0, 1)
    axes.set_facecolor(_NO_GOAL)
    axes.imshow(grid, origin="lower", cmap=COLORS, norm=CHANCE)
    axes.hlines(np.arange(size + 1) - 0.5, -0.5, size - 0.5, color="white", linewidth=0.8)
    axes.vlines(np.arange(size + 1) - 0.5, -0.5, size - 0.5, color="white", linewidth=0.8)
    x, y = goal
    axes.add_patch(
        Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fill=False, color=_GOAL, linewidth=1.6)
    )
    axes.plot(*path.T, color=_PATH, linewidth=1.2, alpha=0.8)
    axes.plot(*path[-1], "o", color=_PATH, markersize=4)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(-0.5, size - 0.5)
    axes.set_xticks([])
    axes.set_yticks([])


def semicircle_panel(
    axes: Axes, goals: np.ndarray, goal: np.ndarray, beliefs: Beliefs, path: np.ndarray
) -> None:
    """Draw up to two beliefs as rings around the semicircle, and the path in colours of time.

    Arguments as for `cells_panel`; the goals are equally far from the origin and from each other.
    """
    radius = float(np.hypot(*goals[0]))
    for (kind, expected), inner in zip(beliefs.items(), _RINGS, strict=False):
        _ring(axes, expected, radius * inner, radius * (inner + _WIDTH))
        middle = radius * (inner + _WIDTH / 2)
        axes.text(middle, -0.06 * radius, kind, rotation=90, ha="center", va="top", fontsize=5)
    axes.plot(*radius * _arc(100), color=_NO_GOAL, linewidth=0.8)
    outer = _RINGS[len(beliefs) - 1] + _WIDTH
    axes.plot(*np.outer([_RINGS[0] - 0.06, outer + 0.06], goal).T, color=_GOAL, linewidth=1.2)
    pieces = np.stack([path[:-1], path[1:]], axis=1)  # [T - 1, 2, 2]
    axes.add_collection(
        LineCollection(list(pieces), array=np.arange(len(pieces)), cmap=_TIME, linewidths=1.0)
    )
    axes.plot(*path[-1], "o", color=_PATH, markersize=4)
    axes.plot(*goal, "o", color=_GOAL, fillstyle="none", markersize=7, markeredgewidth=1.6)
    side = 1.9 * radius
    axes.set_xlim(-side, side)
    axes.set_ylim(-0.6 * radius, side)
    axes.set_aspect("equal")
    axes.set_frame_on(False)
    axes.set_xticks([])
    axes.set_yticks([])


def _ring(axes: Axes, expected: np.ndarray, inner: float, outer: float) -> None:
    arc = _arc(len(expected) + 1)
    x, y = np.stack([inner * arc, outer * arc], axis=1)  # [2, edge of the ring, edge of a cell]
    axes.pcolormesh(x, y, expected[None].clip(0, 1), cmap=COLORS, norm=CHANCE)
    axes.fill(
        np.append(x[0], x[1, ::-1]),
        np.append(y[0], y[1, ::-1]),
        fill=False,
        edgecolor=_FRAME,
        linewidth=0.4,
    )


def _arc(num: int) -> np.ndarray:
    """Return points `[2, num]` on the unit semicircle, from right to left."""
    angles = np.linspace(0.0, np.pi, num)
    return np.stack([np.cos(angles), np.sin(angles)])
