"""A maze drawn in letters, and how an agent moves in it: cells, eight headings, three actions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from metarl_cli.core.checks import require_positive

WALL, GREY_BOX, PLACE, START, FLOOR = "#", "G", "o", ".", "-"
TURN_LEFT, TURN_RIGHT, FORWARD = 0, 1, 2
NUM_ACTIONS = 3
NUM_HEADINGS = 8  # 45 degrees apart, counter-clockwise from east
BLOCKED = -1

_STEPS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))  # by heading


class MazeMap:
    """Where an agent can be and what its actions do there, as tables.

    A pose is a cell and a heading: number `8 * cell + heading`, S of them. A step forward leads to
    the next cell in that direction (diagonal ones are sqrt 2 as long) unless a wall or the grey
    box is there or touches the way there. Lengths are in cells, x to the east and y to the north,
    from the centre of the bottom left letter.

    Args:
        letters: rows from north to south: "#" wall, "G" the grey box, "o" a place where a coloured
            box may stand (floor if none does), "." floor where episodes may start, "-" other
            floor.
        cue_range: the grey box tells an agent its secret at most this far from its centre, cells.

    Attributes:
        size: width and height of the whole drawing, cells.
        grey: centre of the grey box.
        centers: centres of the cells that can be walked on, `[C, 2]`.
        next_pose: pose after an action if no coloured box is met, `[3, S]`.
        ahead: cell that a step forward leads to, or BLOCKED, `[S]`.
        in_range: whether the grey box tells its secret, `[S]`.
        poses_at_grey: with the grey box right ahead.
        start_poses: where episodes may start, all as likely, `[P]`.
        layouts: cells of the blue and of the red box, all pairs as likely, `[L, 2]`.
    """

    def __init__(self, letters: Sequence[str], *, cue_range: float) -> None:
        require_positive(cue_range=cue_range)
        cells = _read(letters)
        self.size = (len(letters[0]), len(letters))
        self.grey = np.array(_where(cells, GREY_BOX)[0], float)
        walkable = [place for place, letter in cells.items() if letter in (PLACE, START, FLOOR)]
        number = {place: index for index, place in enumerate(walkable)}
        self.centers = np.array(walkable, float)
        self.ahead = _cells_ahead(number)
        self.next_pose = _next_poses(self.ahead)
        distance = np.linalg.norm(self.centers - self.grey, axis=1)
        self.in_range = np.repeat(distance <= cue_range, NUM_HEADINGS)
        before = (self.centers[:, None] + _STEPS == self.grey).all(axis=2)  # [C, headings]
        self.poses_at_grey = np.flatnonzero(before & (distance[:, None] <= 1))
        starts = np.array([number[place] for place in _where(cells, START)])
        self.start_poses = (starts[:, None] * NUM_HEADINGS + np.arange(NUM_HEADINGS)).ravel()
        places = [number[place] for place in _where(cells, PLACE)]
        self.layouts = np.array(list(permutations(places, 2)))
        if self.in_range[self.start_poses].any():
            raise ValueError(f"cue_range: got {cue_range}, which reaches a start cell ('.')")

    @property
    def num_poses(self) -> int:
        """S: number of cells times number of headings."""
        return len(self.ahead)


def _read(letters: Sequence[str]) -> dict[tuple[int, int], str]:
    """Return the letter at each (x, y), or raise ValueError for what is no closed maze."""
    if len({len(line) for line in letters}) != 1:
        lengths = [len(line) for line in letters]
        raise ValueError(f"maze: got rows of {lengths} letters, expected rows of one length")
    cells = {
        (x, len(letters) - 1 - y): letter
        for y, line in enumerate(letters)
        for x, letter in enumerate(line)
    }
    unknown = set(cells.values()) - {WALL, GREY_BOX, PLACE, START, FLOOR}
    if unknown:
        raise ValueError(f"maze: got letters {sorted(unknown)}, expected # G o . -")
    border = letters[0] + letters[-1] + "".join(line[0] + line[-1] for line in letters)
    if set(border) != {WALL}:
        raise ValueError("maze: the border has gaps, expected '#' all around")
    counts = [len(_where(cells, letter)) for letter in (GREY_BOX, PLACE, START)]
    if counts[0] != 1 or counts[1] < 2 or counts[2] < 1:
        raise ValueError(f"maze: got {counts} of G, o and ., expected 1, at least 2, at least 1")
    return cells


def _where(cells: dict[tuple[int, int], str], letter: str) -> list[tuple[int, int]]:
    return [place for place, found in cells.items() if found == letter]


def _cells_ahead(number: dict[tuple[int, int], int]) -> np.ndarray:
    """Return the cell one step ahead of each pose, `[S]`; corners cannot be cut."""
    ahead = np.full((len(number), NUM_HEADINGS), BLOCKED)
    for (x, y), cell in number.items():
        for heading, (dx, dy) in enumerate(_STEPS):
            swept = ((x + dx, y + dy), (x + dx, y), (x, y + dy))
            if all(place in number for place in swept):
                ahead[cell, heading] = number[swept[0]]
    return ahead.ravel()


def _next_poses(ahead: np.ndarray) -> np.ndarray:
    pose = np.arange(len(ahead))
    cell, heading = pose // NUM_HEADINGS, pose % NUM_HEADINGS
    left = cell * NUM_HEADINGS + (heading + 1) % NUM_HEADINGS
    right = cell * NUM_HEADINGS + (heading - 1) % NUM_HEADINGS
    forward = np.where(ahead == BLOCKED, cell, ahead) * NUM_HEADINGS + heading
    return np.stack([left, right, forward])
