"""Writing a picture in full or not at all."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metarl_cli.core.files import writing_atomically

MOST_COLUMNS = 3
_WIDTH_IN, _HEIGHT_IN = 5.0, 4.0  # of one panel
PANEL_DPI = 110
_TITLE_CHARACTERS = 72  # over one panel


def panel_grid(num: int, title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels of one size, at most `MOST_COLUMNS` side by side."""
    columns = min(num, MOST_COLUMNS)
    rows = -(-num // columns)
    figure = Figure(figsize=(_WIDTH_IN * columns, _HEIGHT_IN * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(textwrap.fill(title, _TITLE_CHARACTERS * columns), fontsize=11)
    places = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in places[num:]:
        axes.set_axis_off()
    return figure, places[:num]


def plain_text(text: str) -> str:
    """Return text that is drawn as it is; between dollar signs it would be read as a formula."""
    return text.replace("$", r"\$")


def draw_level(axes: Axes, value: float, name: str) -> None:
    """Draw a dotted line across a panel with its name at the right end."""
    axes.axhline(value, color="gray", linestyle=":", linewidth=1)
    axes.margins(y=0.1)  # room for the name of a line at the top
    axes.annotate(
        plain_text(name.replace("_", " ")),
        (1, value),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 2),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="dimgray",
    )


def save_picture(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure as PNG; on a full disk nothing of it stays.

    Args:
        figure: with a canvas.
        path: of the picture.
        options: of `Figure.savefig`.
    """
    with writing_atomically(path) as file:
        figure.savefig(file, format="png", **options)
