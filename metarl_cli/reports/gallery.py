"""Pictures of environments, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metarl_cli.reports.pictures import save_picture

_WIDTH_IN, _HEIGHT_IN = 2.2, 2.1  # of one picture with its caption
_DPI = 110


@dataclass(frozen=True)
class Picture:
    """An environment in one of its tasks."""

    frame: np.ndarray  # uint8 [height, width, 3]
    caption: str


def gallery_figure(
    pictures: Sequence[Picture], path: Path, *, columns: int, title: str | None = None
) -> None:
    """Draw pictures row by row, under a title that says what their colours mean."""
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(_WIDTH_IN * columns, _HEIGHT_IN * rows), layout="constrained")
    FigureCanvasAgg(figure)
    if title is not None:
        figure.suptitle(title, fontsize=9)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, picture in zip(places, pictures, strict=False):
        axes.imshow(picture.frame, interpolation="antialiased")
        axes.set_title(picture.caption, fontsize=7.5)
    save_picture(figure, path, dpi=_DPI, bbox_inches="tight")
