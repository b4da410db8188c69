"""The panel of meta-training: returns by number of adaptations, over environment steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from metarl_cli.core.protocols import VALIDATION
from metarl_cli.loggers.jsonl import Row
from metarl_cli.reports.adaptations import in_words
from metarl_cli.reports.palette import color_of
from metarl_cli.reports.thin import thin
from metarl_cli.runtime.evaluation import EpisodeRow, Interval

MOST_CURVES = 5
MOST_POINTS = 300  # of a line of training batches
_OUTSIDE = 2.0  # per cent of training batches at either end that the axis may leave out
_BATCH = "train/return_"
_OTHER_BATCHES = {"prior": 0, "posterior": 1}  # what PEARL calls its batches: adaptations so far


def draw_learning(
    axes: Axes, rows: Sequence[Row], *, most: int, num_tasks: int | None, dense: bool
) -> list[Artist]:
    """Draw validation (thick, with intervals) and training batches (thin); return the legend.

    Args:
        axes: where to draw.
        rows: of a record.
        most: the largest number of adaptations in the figure, which fixes the colours.
        num_tasks: of a validation; None: unknown.
        dense: training batches have another reward; they get an axis of their own on the right.
    """
    shown = _chosen(_validated(rows))
    batch_axes = axes.twinx() if dense else axes
    batches = _draw_batches(batch_axes, rows, most, shown)
    if dense:
        batch_axes.set_ylabel("return of training batches (dense reward)", fontsize=8, color="0.45")
        batch_axes.tick_params(labelsize=7, labelcolor="0.45")
        axes.set_zorder(batch_axes.get_zorder() + 1)
        axes.patch.set_visible(False)
    for k in shown:
        name = f"{VALIDATION}/online_{k}"
        x, y, low, high = _series(rows, name, f"{name}_low", f"{name}_high")
        axes.plot(x, y, color=color_of(k, most), linewidth=1.8, marker="o" * (len(x) == 1))
        axes.fill_between(x, low, high, color=color_of(k, most), alpha=0.15, linewidth=0)
    axes.set_xlabel("environment steps (all counted)")
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    axes.set_title("meta-training", fontsize=10)
    axes.grid(alpha=0.3)
    return _legend(shown, batches, most=most, num_tasks=num_tasks, dense=dense)


def most_adaptations(rows: Sequence[Row]) -> int:
    """Return the largest number of adaptations that a validation or a batch has measured."""
    return max([0, *_validated(rows), *_batches(rows).values()])


def learning_range(rows: Sequence[Row], *, batches: bool = True) -> tuple[float, float] | None:
    """Return the lowest and the highest return to show, None if there is none.

    Args:
        rows: of a record.
        batches: whether most of the training batches must be in it, too.
    """
    names = [f"{VALIDATION}/online_{k}" for k in _chosen(_validated(rows))]
    ends = [f"{name}{end}" for name in names for end in ("_low", "_high")]
    values = [x for name in (*names, *ends) for x in _series(rows, name)[1]]
    for key in _batches(rows) if batches else ():
        numbers = _series(rows, key)[1]
        values += np.percentile(numbers, [_OUTSIDE, 100 - _OUTSIDE]).tolist() if numbers else []
    return (min(values), max(values)) if values else None


def last_validation(rows: Sequence[Row]) -> list[EpisodeRow]:
    """Return what the last validation has measured, by number of adaptations."""
    for row in reversed(rows):
        if found := _validated([row]):
            name = f"{VALIDATION}/online_{{}}"
            return [EpisodeRow(k, _interval(row, name.format(k))) for k in found]
    return []


def _draw_batches(axes: Axes, rows: Sequence[Row], most: int, shown: Sequence[int]) -> bool:
    drawn, few = False, thin(rows, MOST_POINTS)
    for key, k in _batches(rows).items():
        x, y = _series(few, key)
        if x and (k in shown or not shown):
            axes.plot(x, y, color=color_of(k, most), alpha=0.45, linewidth=0.8)
            drawn = True
    return drawn


def _legend(
    shown: Sequence[int], batches: bool, *, most: int, num_tasks: int | None, dense: bool
) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], color=color_of(k, most), linewidth=1.8, label=in_words(k, most))
        for k in shown
    ]
    if shown:
        tasks = "validation tasks" if num_tasks is None else f"{num_tasks} validation tasks"
        label = f"thick: mean of {tasks}, band: 95 % interval over tasks"
        handles.append(Line2D([], [], color="0.3", linewidth=1.8, label=label))
    if batches:
        label = "thin: training batches" + (" (dense reward, right axis)" if dense else "")
        handles.append(Line2D([], [], color="0.3", alpha=0.6, linewidth=0.8, label=label))
    return handles


def _validated(rows: Sequence[Row]) -> list[int]:
    """Numbers of adaptations after which validations have measured returns."""
    prefix = f"{VALIDATION}/online_"
    names = {key.removeprefix(prefix) for row in rows for key in row if key.startswith(prefix)}
    return sorted(int(name) for name in names if name.isdigit())


def _batches(rows: Sequence[Row]) -> dict[str, int]:
    """Keys of the returns of training batches, and how often their agents had adapted."""
    found: dict[str, int] = {}
    for key in sorted({key for row in rows for key in row if key.startswith(_BATCH)}):
        name = key.removeprefix(_BATCH)
        if name.isdigit() or name in _OTHER_BATCHES:
            found[key] = int(name) if name.isdigit() else _OTHER_BATCHES[name]
    return found


def _chosen(indices: Sequence[int]) -> list[int]:
    """Of many numbers of adaptations some: none, one, the most, and between them."""
    if len(indices) <= MOST_CURVES:
        return list(indices)
    places = np.linspace(1, len(indices) - 1, MOST_CURVES - 1).round().astype(int)
    return [indices[0], *(indices[i] for i in places)]


def _interval(row: Row, name: str) -> Interval:
    mean = float(row[name])
    low, high = (float(row.get(f"{name}_{end}", mean)) for end in ("low", "high"))
    return Interval(mean, low, high)


def _series(rows: Sequence[Row], *keys: str) -> list[list[float]]:
    """Return the environment steps of the rows that have numbers under all keys, and these."""
    whole = [row for row in rows if all(type(row.get(key)) in (int, float) for key in keys)]
    return [[float(row[name]) for row in whole] for name in ("env_steps", *keys)]
