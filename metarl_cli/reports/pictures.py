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
_WIDTH_IN, _HEIGHT_IN = 5.0, 4.0  # of one panel, and in it around the axes:
_LEFT_IN, _RIGHT_IN, _BOTTOM_IN, _ABOVE_IN = 0.8, 0.1, 0.6, 0.5
_TOP_IN = 0.4  # of the figure, for its title
PANEL_DPI = 110
_TITLE_CHARACTERS = 72  # over one panel, of the figure's title
_PANEL_CHARACTERS = 56  # of the panel's own


def panel_grid(num: int, title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels of one size, at most `MOST_COLUMNS` side by side."""
    columns = min(num, MOST_COLUMNS)
    rows = -(-num // columns)
    width, height = _WIDTH_IN * columns, _HEIGHT_IN * rows + _TOP_IN
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.suptitle(
        textwrap.fill(title, _TITLE_CHARACTERS * columns), fontsize=11, y=1 - 0.1 / height, va="top"
    )
    margins = {  # by hand: a constrained layout takes seconds for 20 panels
        "left": _LEFT_IN / width,
        "right": 1 - _RIGHT_IN / width,
        "bottom": _BOTTOM_IN / height,
        "top": 1 - (_TOP_IN + _ABOVE_IN) / height,
        "wspace": (_LEFT_IN + _RIGHT_IN) / (_WIDTH_IN - _LEFT_IN - _RIGHT_IN),
        "hspace": (_BOTTOM_IN + _ABOVE_IN) / (_HEIGHT_IN - _BOTTOM_IN - _ABOVE_IN),
    }
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins)
    places = list(grid.ravel())
    for axes in places[num:]:
        axes.set_axis_off()
    return figure, places[:num]


def plain_text(text: str) -> str:
    """Return text that is drawn as it is; between dollar signs it would be read as a formula."""
    return text.replace("$", r"\$")


def name_panel(axes: Axes, title: str) -> None:
    """Put a title over a panel, in two lines if it is long."""
    axes.set_title(textwrap.fill(plain_text(title), _PANEL_CHARACTERS), fontsize=10)


def draw_level(axes: Axes, value: float, name: str) -> None:
    """Draw a dotted line across a panel with its name, if any, at the right end."""
    axes.axhline(value, color="gray", linestyle=":", linewidth=1)
    axes.margins(y=0.1)  # room for the name of a line at the top
    axes.annotate(
        plain_text(name),
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
