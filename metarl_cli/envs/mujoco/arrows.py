"""Velocities as arrows on pictures of robots: the one that is wanted, and the one there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metarl_cli.envs.base.drawing import BLACK, Colour

_SUPERSAMPLING = 3  # drawn larger, then shrunk, so that edges are smooth
_WIDTH, _HEAD = 5.0, 13.0  # pixels: of the shaft, and length and width of the head
_SHORTEST = 2.0  # pixels: what is shorter is a dot


@dataclass(frozen=True)
class Arrow:
    """A velocity to show."""

    velocity: np.ndarray  # [2], along x and y, m/s
    colour: Colour


def draw_arrow(
    picture: np.ndarray, start: np.ndarray, end: np.ndarray, colour: Colour
) -> np.ndarray:
    """Return a picture uint8 `[height, width, 3]` with an arrow on it; one without length is a dot.

    Args:
        picture: to draw on.
        start: `[2]`, pixels to the right and down.
        end: likewise.
        colour: of its inside.
    """
    height, width, _ = picture.shape
    size = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
    image = Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for colours, rim in ((BLACK, 1.2), (colour, 0.0)):
        draw.polygon(_outline(start, end, rim).ravel().tolist(), fill=colours)
    return np.array(image.resize((width, height), Image.Resampling.BOX))


def _outline(start: np.ndarray, end: np.ndarray, rim: float) -> np.ndarray:
    """Return the corners `[n, 2]` of an arrow in pixels of the larger picture."""
    along = end - start
    length = float(np.hypot(*along))
    if length < _SHORTEST:
        angles = np.linspace(0.0, 2.0 * np.pi, 16)
        corners = start + (0.5 * _WIDTH + rim) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return _SUPERSAMPLING * corners
    along = along / length
    across = np.array([-along[1], along[0]])
    head = min(_HEAD, 0.7 * length)
    shaft, wing = 0.5 * _WIDTH * min(1.0, head / _HEAD + 0.3) + rim, 0.5 * head + 2 * rim
    neck = length - head - rim
    places = [(-rim, shaft), (neck, shaft), (neck, wing), (length + 2 * rim, 0.0)]
    places += [(at, -aside) for at, aside in reversed(places[:-1])]
    return _SUPERSAMPLING * np.array([start + at * along + aside * across for at, aside in places])
