"""Writing a picture in full or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from metarl_cli.core.files import writing_atomically


def save_picture(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure as PNG; on a full disk nothing of it stays.

    Args:
        figure: with a canvas.
        path: of the picture.
        options: of `Figure.savefig`.
    """
    with writing_atomically(path) as file:
        figure.savefig(file, format="png", **options)
