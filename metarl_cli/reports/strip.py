"""Film strips: some frames of each episode, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from metarl_cli.reports.pictures import save_picture

_WIDTH_IN = 10.0  # of all frames of a line
_LABEL_IN, _STEP_IN, _TITLE_IN = 0.45, 0.22, 0.3  # room for words
_LEAST_HEIGHT_IN = 0.85  # of a frame: many wide ones make several lines
_LEAST_COLUMNS = 4
_DPI = 110
_EDGE = "0.8"


@dataclass(frozen=True)
class StripRow:
    """An episode from its start state on."""

    label: str
    frames: dict[int, np.ndarray]  # uint8 [height, width, 3], by the number of steps taken


def strip_figure(rows: Sequence[StripRow], path: Path, *, frames: int, title: str) -> None:
    """Draw at most `frames` frames of each episode, evenly spaced, with their step numbers."""
    shown = [_spread(list(row.frames), frames) for row in rows]
    height, width, _ = rows[0].frames[0].shape
    columns = _columns(max(map(len, shown)), width / height)
    lines = [
        (row, steps[i : i + columns])
        for row, steps in zip(rows, shown, strict=True)
        for i in range(0, len(steps), columns)
    ]
    line_in = _WIDTH_IN / columns * height / width + _STEP_IN
    size = (_WIDTH_IN + _LABEL_IN, len(lines) * line_in + _TITLE_IN)
    spacing = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    figure = Figure(figsize=size, layout=spacing)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9)
    panels = figure.subplots(len(lines), columns, squeeze=False)
    for places, (row, steps) in zip(panels, lines, strict=True):
        for axes, t in zip(places, steps, strict=False):
            _frame(axes, row.frames[t], f"step {t}")
        for axes in places[len(steps) :]:
            axes.set_axis_off()
        if steps[0] == 0:
            places[0].set_ylabel(row.label, fontsize=8)
    save_picture(figure, path, dpi=_DPI)


def _spread(steps: Sequence[int], most: int) -> list[int]:
    """At most `most` of them, evenly spaced, the first and the last among them."""
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return [steps[i] for i in np.unique(places)]


def _columns(num: int, aspect: float) -> int:
    """Frames per line, neither too small nor too large, if possible in lines of one length."""
    most = max(_LEAST_COLUMNS, int(_WIDTH_IN / (aspect * _LEAST_HEIGHT_IN)))
    return max(_LEAST_COLUMNS, math.ceil(num / math.ceil(num / most)))


def _frame(axes: Axes, frame: np.ndarray, caption: str) -> None:
    axes.imshow(frame, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(caption, fontsize=7, labelpad=2)
    axes.spines[:].set_color(_EDGE)
