"""Plain pictures of flat worlds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

BLACK, GREY, LIGHT, WHITE = (30, 30, 30), (150, 150, 150), (225, 225, 225), (250, 250, 250)
BLUE, RED, GREEN, ORANGE = (45, 95, 200), (205, 50, 45), (50, 150, 70), (235, 145, 35)

_SUPERSAMPLING = 2  # drawn larger, then shrunk, so that edges are smooth


class Canvas:
    """A picture of the world's rectangle `x_range` x `y_range`, y upwards.

    Args:
        x_range: `[low, high]` in world units.
        y_range: the same along y.
        size: pixels of the longer side.
        background: colour of everything not drawn on.
    """

    def __init__(
        self,
        x_range: Sequence[float],
        y_range: Sequence[float],
        *,
        size: int = 240,
        background: Colour = WHITE,
    ) -> None:
        self._left, self._top = x_range[0], y_range[1]
        width, height = x_range[1] - x_range[0], y_range[1] - y_range[0]
        self._scale = _SUPERSAMPLING * size / max(width, height)
        pixels = (
            _SUPERSAMPLING * max(1, round(size * width / max(width, height))),
            _SUPERSAMPLING * max(1, round(size * height / max(width, height))),
        )
        self._image = Image.new("RGB", pixels, background)
        self._draw = ImageDraw.Draw(self._image)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        (px, py), r = self._pixel(x, y), radius * self._scale
        self._draw.ellipse((px - r, py - r, px + r, py + r), fill=colour)

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: float = 2.0) -> None:
        """Draw a circle's outline, `width` in pixels."""
        (px, py), r = self._pixel(x, y), radius * self._scale
        box = (px - r, py - r, px + r, py + r)
        self._draw.ellipse(box, outline=colour, width=round(width * _SUPERSAMPLING))

    def rectangle(self, low: Sequence[float], high: Sequence[float], colour: Colour) -> None:
        """Fill the axis-parallel rectangle between two corners, at least as a thin line."""
        (left, bottom), (right, top) = self._pixel(*low), self._pixel(*high)
        self._draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=colour)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon of points `[n, 2]`."""
        self._draw.polygon([self._pixel(x, y) for x, y in points], fill=colour)

    def line(self, points: np.ndarray, colour: Colour, width: float = 2.0) -> None:
        """Join points `[n, 2]`, `width` in pixels."""
        pixels = [self._pixel(x, y) for x, y in points]
        self._draw.line(pixels, fill=colour, width=round(width * _SUPERSAMPLING), joint="curve")

    def text(self, x: float, y: float, words: str, colour: Colour = BLACK, size: int = 12) -> None:
        """Write words centred on a point, `size` in pixels."""
        font = ImageFont.load_default(size * _SUPERSAMPLING)
        self._draw.text(self._pixel(x, y), words, fill=colour, font=font, anchor="mm")

    def image(self) -> np.ndarray:
        """Return the picture, uint8 `[height, width, 3]`."""
        width, height = self._image.size
        small = (width // _SUPERSAMPLING, height // _SUPERSAMPLING)
        return np.array(self._image.resize(small, Image.Resampling.BOX))

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        return (x - self._left) * self._scale, (self._top - y) * self._scale
