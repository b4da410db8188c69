"""A maze from above."""

from __future__ import annotations

import numpy as np

from metarl_cli.envs.base.drawing import BLACK, BLUE, GREEN, GREY, LIGHT, ORANGE, RED, WHITE, Canvas
from metarl_cli.envs.maze.map import NUM_HEADINGS, MazeMap

BOX_SIDE = 0.8  # of a cell

_COLOURS = (BLUE, RED)
_YELLOW = (250, 235, 170)


def top_view(
    maze: MazeMap, *, pose: int, boxes: np.ndarray, right: int, cue: int, size: int = 240
) -> np.ndarray:
    """Return a picture, uint8 `[height, width, 3]`.

    Args:
        maze: the map.
        pose: of the agent (orange, its nose ahead).
        boxes: cells of the blue and of the red box.
        right: 0 or 1, the box that gets a green frame.
        cue: what the grey box says, as a spot on it: -1 blue, +1 red, 0 nothing.
        size: pixels of the longer side.
    """
    width, height = maze.size
    canvas = Canvas((-0.5, width - 0.5), (-0.5, height - 0.5), size=size, background=BLACK)
    for cell, center in enumerate(maze.centers):
        near = maze.in_range[cell * NUM_HEADINGS]
        _square(canvas, center, 0.96, _YELLOW if near else WHITE)
    _square(canvas, maze.grey, BOX_SIDE, GREY)
    if cue:
        x, y = maze.grey
        canvas.disc(x, y, 0.25, _COLOURS[cue > 0])
    _square(canvas, maze.centers[boxes[right]], 1.1, GREEN)
    for box, colour in zip(boxes, _COLOURS, strict=True):
        _square(canvas, maze.centers[box], BOX_SIDE, colour)
    _agent(canvas, maze.centers[pose // NUM_HEADINGS], pose % NUM_HEADINGS)
    return canvas.image()


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Join two pictures on black, each in the middle of the common height."""
    height = max(len(left), len(right))
    joined = np.full((height, left.shape[1] + right.shape[1], 3), BLACK, np.uint8)
    for part, start in ((left, 0), (right, left.shape[1])):
        above = (height - len(part)) // 2
        joined[above : above + len(part), start : start + part.shape[1]] = part
    return joined


def _square(canvas: Canvas, center: np.ndarray, side: float, colour: tuple[int, int, int]) -> None:
    x, y = center
    canvas.rectangle((x - side / 2, y - side / 2), (x + side / 2, y + side / 2), colour)


def _agent(canvas: Canvas, center: np.ndarray, heading: int) -> None:
    angles = 2 * np.pi * (heading / NUM_HEADINGS + np.array([0.0, 0.38, 0.62]))
    x, y = center
    canvas.disc(x, y, 0.42, LIGHT)
    canvas.polygon(center + 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=1), ORANGE)
