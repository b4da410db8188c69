"""The picture of a sign_nav episode: a map with north on top, and beside it the agent's view."""

from __future__ import annotations

import numpy as np
from PIL import Image

from metarl_cli.envs.base.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    RED,
    WHITE,
    Canvas,
    Colour,
)

_HEIGHT = 240  # pixels
_MARGIN = 0.7  # m around the walls
_COLOURS: tuple[Colour, ...] = (BLUE, RED, GREEN)
_SHAPES = ("box", "key")
_FIELD = 2.2  # m, how far the field of view is drawn


def draw_sign_nav(
    *,
    walls: np.ndarray,
    pose: np.ndarray,
    objects: np.ndarray,
    headings: np.ndarray,
    sign: tuple[str, float],
    colour: int,
    instruction: int,
    half_view: float,
    image: np.ndarray,
) -> np.ndarray:
    """Return the map and the view.

    Args:
        walls: closed outline of the floor, `[W, 2, 2]` in (x, z), m.
        pose: the agent's x, z, heading.
        objects: x, z of each shape in each colour, `[2, 3, 2]`.
        headings: theirs, `[2, 3]`.
        sign: its word, and the z of its middle on the east wall.
        colour: that of the task.
        instruction: 0 box, 1 key.
        half_view: half of the horizontal field of view, rad.
        image: what the agent sees, `[h, w, 3]`.

    Returns:
        uint8 `[240, width, 3]`.
    """
    east, south = walls.max(axis=(0, 1)) + _MARGIN
    canvas = Canvas((-_MARGIN, east), (-south, _MARGIN), size=_HEIGHT, background=LIGHT)
    corners = _on_map(walls[:, 0])
    canvas.polygon(corners, WHITE)
    canvas.line(np.concatenate([corners, corners[:1]]), GREY, 3.0)
    _draw_sign(canvas, *sign, x=east - _MARGIN, colour=_COLOURS[colour])
    for index in range(len(_COLOURS)):
        canvas.polygon(_square(objects[0, index], headings[0, index]), _COLOURS[index])
        _draw_key(canvas, objects[1, index], headings[1, index], _COLOURS[index])
    goal_x, goal_z = objects[instruction, colour]
    canvas.ring(goal_x, -goal_z, 1.1, ORANGE)
    _draw_agent(canvas, pose, half_view)
    canvas.text(5.0, -12.3, f"go to the {_SHAPES[instruction]}", BLACK, 11)
    size = (round(image.shape[1] * _HEIGHT / image.shape[0]), _HEIGHT)
    view = np.array(Image.fromarray(image).resize(size, Image.Resampling.NEAREST))
    return np.concatenate([canvas.image(), view], axis=1)


def _on_map(points: np.ndarray) -> np.ndarray:
    return points * np.array([1.0, -1.0])  # z points south, the map's y north


def _frame(place: np.ndarray, heading: float, local: np.ndarray) -> np.ndarray:
    """Points `[n, 2]` given ahead and to the left of a heading, on the map."""
    cos, sin = np.cos(heading), np.sin(heading)
    return _on_map(place) + local @ np.array([[cos, sin], [-sin, cos]])


def _square(place: np.ndarray, heading: float) -> np.ndarray:
    return _frame(place, heading, 0.4 * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]))


def _draw_key(canvas: Canvas, place: np.ndarray, heading: float, colour: Colour) -> None:
    """A key laid flat."""
    x, y = _frame(place, heading, np.array([[0.0, 0.42]]))[0]
    canvas.ring(x, y, 0.3, colour, 2.5)
    for line in (
        [[0.0, 0.12], [0.0, -0.7]],
        [[0.0, -0.4], [-0.25, -0.4]],
        [[0.0, -0.68], [-0.25, -0.68]],
    ):
        canvas.line(_frame(place, heading, np.array(line)), colour, 2.5)


def _draw_sign(canvas: Canvas, word: str, z: float, *, x: float, colour: Colour) -> None:
    half = len(word) / 2
    canvas.line(np.array([[x, -z - half], [x, -z + half]]), colour, 5.0)
    canvas.text(x - 1.2, -z, word, colour, 11)


def _draw_agent(canvas: Canvas, pose: np.ndarray, half_view: float) -> None:
    place, heading = pose[:2], float(pose[2])
    edge = _FIELD * np.array([[np.cos(half_view), np.sin(half_view)]])
    edges = np.concatenate([edge, np.zeros((1, 2)), edge * [1, -1]])
    canvas.line(_frame(place, heading, edges), GREY, 1.0)
    canvas.disc(place[0], -place[1], 0.4, BLACK)
    canvas.line(_frame(place, heading, np.array([[0.0, 0.0], [0.4, 0.0]])), WHITE, 2.0)
