"""What is known exactly, as lines: returns of policies from idle to all-knowing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

Anchors = Mapping[str, Sequence[float]]  # by episode of a trial; the last one stands for all later

_BEST = ("oracle", "bayes_optimal")  # drawn as bounds from above, all others as floors
_DASHES = {"oracle": (0, (6, 2)), "bayes_optimal": (0, (6, 2, 1, 2))}
_FLOORS = ((0, (1, 1.5)), (0, (1, 4)), (0, (3, 4)), (0, (3, 2, 1, 2)))
_BLACK, _DIM = "#202020", "#707070"


def draw_anchors(axes: Axes, anchors: Anchors, *, by_episode: bool = False) -> list[Artist]:
    """Draw a level line for each policy; return what a legend shows.

    Args:
        axes: where to draw.
        anchors: returns by name of the policy.
        by_episode: the axis counts episodes 0, 1, ...: a policy that gets better has steps.
    """
    handles: list[Artist] = []
    floors = iter(_FLOORS * len(anchors))
    for name, returns in anchors.items():
        style: dict[str, Any] = {
            "linestyle": _DASHES.get(name) or next(floors),
            "color": _BLACK if name in _BEST else _DIM,
            "linewidth": 1.1,
        }
        if by_episode and len(returns) > 1:
            right = max(axes.get_xlim()[1], len(returns) - 0.5)
            edges = [-0.5, *(k + 0.5 for k in range(len(returns) - 1)), right]
            axes.stairs(returns, edges, baseline=None, **style)
            axes.set_xlim(right=right)
        else:
            axes.axhline(returns[-1], **style)
        numbers = " > ".join(f"{value:.4g}" for value in returns)
        handles.append(
            Line2D([], [], label=f"{name.replace('_', ' ')} (exact): {numbers}", **style)
        )
    return handles


def values_of(anchors: Anchors) -> list[float]:
    """Return all numbers of all policies."""
    return [value for returns in anchors.values() for value in returns]
