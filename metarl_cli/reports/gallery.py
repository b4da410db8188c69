"""Pictures of environments, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_WIDTH_IN, _HEIGHT_IN = 2.2, 1.9  # of one picture with its caption
_DPI = 110


@dataclass(frozen=True)
class Strip:
    """One environment: pictures of several of its tasks."""

    name: str
    frames: tuple[np.ndarray, ...]  # uint8 [height, width, 3] each
    captions: tuple[str, ...]  # one per picture


def gallery_figure(strips: list[Strip], path: Path) -> None:
    """Draw one row per environment, one column per task."""
    rows, columns = len(strips), max(len(strip.frames) for strip in strips)
    figure = Figure(figsize=(_WIDTH_IN * columns, _HEIGHT_IN * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for strip, part in zip(strips, figure.subfigures(rows, 1, squeeze=False)[:, 0], strict=True):
        part.suptitle(strip.name, fontsize=9, fontweight="bold")
        for axes, frame, caption in zip(
            part.subplots(1, columns), strip.frames, strip.captions, strict=True
        ):
            axes.imshow(frame, interpolation="antialiased")
            axes.set_title(caption, fontsize=7)
            axes.set_axis_off()
    figure.savefig(path, dpi=_DPI)
