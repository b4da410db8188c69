"""The panel of the meta-test: over adaptations, or task by task where nobody adapts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from metarl_cli.reports.palette import color_of
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval, TaskRow

MOST_BARS = 8  # tasks that are named one by one
_MOST_MARKS = 12  # adaptations with a tick and a mark each
_ONLINE, _PROBE = "#1f5fb4", "#d9822b"
_KINDS = {"online": "online (sampled actions)", "probe": "probe (greedy actions)"}


def draw_adaptation(axes: Axes, episodes: Sequence[EpisodeRow], *, most: int) -> list[Artist]:
    """Draw returns over adaptations with 95 % intervals over tasks; return the legend.

    Args:
        axes: where to draw.
        episodes: of a meta-test.
        most: the largest number of adaptations in the figure, which fixes the colours.
    """
    handles: list[Artist] = []
    for kind, line, mark, filled in (("online", "-", "o", True), ("probe", ":", "s", False)):
        cells = {row.index: cell for row in episodes if (cell := getattr(row, kind)) is not None}
        if not cells:
            continue
        axes.plot(list(cells), [c.mean for c in cells.values()], line, color="0.55", linewidth=1)
        few = len(cells) <= _MOST_MARKS
        for k, cell in cells.items():
            color = color_of(k, most)
            axes.vlines(k, cell.low, cell.high, color=color, linewidth=1.4, alpha=0.8)
            if few:
                face = color if filled else "white"
                axes.plot(k, cell.mean, mark, color=color, markerfacecolor=face, markersize=5.5)
        style: dict[str, Any] = {
            "color": "0.35",
            "linestyle": line,
            "marker": mark if few else "",
            "markersize": 5,
        }
        style["markerfacecolor"] = "0.35" if filled else "white"
        handles.append(Line2D([], [], label=f"{_KINDS[kind]}, 95 % interval", **style))
    axes.set_xlabel("adaptations")
    indices = [row.index for row in episodes]
    if len(indices) <= _MOST_MARKS:
        axes.set_xticks(indices)
    axes.grid(alpha=0.3)
    return handles


def draw_tasks(axes: Axes, evaluation: Evaluation, names: Sequence[str]) -> list[Artist]:
    """Draw the return in each task, with the mean over tasks; return the legend.

    Over the hidden parameter where there is one, else over the tasks in order of their return; few
    tasks as bars.

    Args:
        axes: where to draw.
        evaluation: a meta-test without adaptation.
        names: of the parameters of a task, if they are known.
    """
    tasks, row = evaluation.tasks, evaluation.episodes[0]
    bars = len(tasks) <= MOST_BARS
    handles: list[Artist] = []
    for side, (kind, color) in enumerate((("online", _ONLINE), ("probe", _PROBE))):
        cell: Interval | None = getattr(row, kind)
        returns = [values[0] for task in tasks if (values := getattr(task, kind))]
        if cell is None or not returns:
            continue
        if bars:
            places = np.arange(len(returns)) + 0.4 * side - 0.2
            axes.bar(places, returns, width=0.36, color=color)
        else:
            x, y = _ordered(tasks, returns)
            axes.plot(x, y, "os"[side], color=color, markersize=3.5, alpha=0.7)
        axes.axhspan(cell.low, cell.high, color=color, alpha=0.15, linewidth=0)
        axes.axhline(cell.mean, color=color, linewidth=1.2)
        label = f"{_KINDS[kind]}: mean {cell.mean:.4g} [{cell.low:.4g}, {cell.high:.4g}]"
        handles.append(Line2D([], [], marker="os"[side], color=color, markersize=4, label=label))
    if bars:
        axes.set_xticks(range(len(tasks)), [_params(task) for task in tasks], fontsize=7.5)
    axes.set_xlabel(_what(tasks, names, bars=bars))
    axes.grid(alpha=0.3)
    return handles


def tested_range(episodes: Sequence[EpisodeRow], tasks: Sequence[TaskRow] = ()) -> list[float]:
    """Return the ends of all that is drawn: intervals, and tasks where these are shown."""
    cells = [cell for row in episodes for cell in (row.online, row.probe) if cell]
    ends = [end for cell in cells for end in (cell.low, cell.high)]
    return ends + [values[0] for t in tasks for values in (t.online, t.probe) if values]


def _ordered(tasks: Sequence[TaskRow], returns: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    if len(tasks[0].params) == 1:
        return np.array([task.params[0] for task in tasks]), np.array(returns)
    return np.arange(1, len(returns) + 1), np.sort(returns)


def _what(tasks: Sequence[TaskRow], names: Sequence[str], *, bars: bool) -> str:
    if len(tasks[0].params) == 1 or bars:
        named = ", ".join(names) if len(names) <= 2 else ""
        return f"task: {named}" if named else "task"
    return f"the {len(tasks)} tasks, in order of their return"


def _params(task: TaskRow) -> str:
    return ", ".join(f"{value:.3g}" for value in task.params[:2])
