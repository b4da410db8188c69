"""A maze through the eyes of the agent.

Camera and wall height are MiniWorld's (Chevalier-Boisvert et al. 2023, arXiv:2306.13831), on which
MTEnv's two-goal maze is built. As there, each side of the world has its own wall, so that an agent
can tell where it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_positive
from metarl_cli.envs.base.drawing import BLUE, RED, Colour
from metarl_cli.envs.maze.map import NUM_HEADINGS, MazeMap
from metarl_cli.envs.raycast.camera import LevelCamera
from metarl_cli.envs.raycast.raycaster import RayCaster
from metarl_cli.envs.raycast.scene import Boxes, World, cube
from metarl_cli.envs.raycast.textures import Texture, bricks, plain, speckled, tiled

if TYPE_CHECKING:
    from metarl_cli.envs.maze.maze import Eyes, MazeState

_SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # north, east, south, west
_WALLS = (
    bricks((170, 90, 60), (205, 195, 180)),
    speckled((150, 155, 165), 0.1),
    tiled((205, 185, 120), (150, 130, 80), 0.7),  # no divisor of a step: places look different
    speckled((95, 130, 95), 0.15),
)
_BLUE, _RED, _SILENT, _SAYS_BLUE, _SAYS_RED, _FLOOR, _CEILING = range(len(_WALLS), len(_WALLS) + 7)
_PANEL_PIXELS, _PANEL_RIM = 32, 4
_PICTURE_SCALE = 4  # screen pixels per pixel seen, in pictures


class CameraView:
    """RGB images, uint8 `[B, height, width, 3]`: floor, walls, the three boxes.

    The grey box has a panel on each of its faces, dark unless the agent is in range: then it
    lights up in the colour of the right box.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        vertical_fov: angle from the upper to the lower edge of the image, degrees.
        eye_height: of the agent, m.
        wall_height: m.
        cell_size: length of a step forward (diagonally sqrt 2 times as far), m.
        box_size: side of the boxes, m.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        vertical_fov: float,
        eye_height: float,
        wall_height: float,
        cell_size: float,
        box_size: float,
    ) -> None:
        require_positive(width=width, height=height, vertical_fov=vertical_fov)
        require_positive(eye_height=eye_height, cell_size=cell_size, box_size=box_size)
        if not (eye_height < wall_height and box_size < cell_size and vertical_fov < 180):
            raise ValueError(
                "view: expected eye_height < wall_height, box_size < cell_size, vertical_fov < 180"
            )
        self.camera = LevelCamera(width, height, np.deg2rad(vertical_fov), eye_height)
        self._wall_height = wall_height
        self.cell_size, self.box_size = cell_size, box_size

    @property
    def space(self) -> Box:
        """See `MazeView`."""
        return Box(0, 255, (self.camera.height, self.camera.width, 3), np.uint8)

    def eyes(self, maze: MazeMap, threads: int) -> Eyes:
        """See `MazeView`."""
        return _CameraEyes(self, maze, threads)

    def picture(self, obs: np.ndarray) -> np.ndarray:
        """See `MazeView`."""
        return obs.repeat(_PICTURE_SCALE, axis=0).repeat(_PICTURE_SCALE, axis=1)

    def world(self, maze: MazeMap) -> World:
        """Return the maze as a ray caster needs it."""
        ends, sides = wall_segments(maze)
        panels = (self._panel(colour) for colour in ((40, 40, 40), BLUE, RED))
        return World(
            walls=self.cell_size * ends * (1, -1),
            wall_texture=sides,
            wall_height=self._wall_height,
            floor_texture=_FLOOR,
            ceiling_texture=_CEILING,
            textures=[
                *_WALLS,
                plain(BLUE),
                plain(RED),
                *panels,
                speckled((120, 110, 100), 0.1, seed=1),
                plain((215, 215, 220)),
            ],
        )

    def _panel(self, colour: Colour) -> Texture:
        pixels = np.full((_PANEL_PIXELS, _PANEL_PIXELS, 3), (140, 140, 140), np.uint8)
        pixels[_PANEL_RIM:-_PANEL_RIM, _PANEL_RIM:-_PANEL_RIM] = colour
        return Texture(pixels, self.box_size / _PANEL_PIXELS)


class _CameraEyes:
    """Renders what has changed since the last look."""

    def __init__(self, view: CameraView, maze: MazeMap, threads: int) -> None:
        self._caster = RayCaster(view.world(maze), view.camera, threads)
        self._box_size = view.box_size
        self._places = view.cell_size * maze.centers * (1, -1)  # [C, 2] x, z
        headings = 2 * np.pi / NUM_HEADINGS * np.arange(NUM_HEADINGS)
        self._poses = np.column_stack(
            [
                np.repeat(self._places, NUM_HEADINGS, axis=0),
                np.tile(headings, len(self._places)),
            ]
        )  # [S, 3]
        self._grey = view.cell_size * maze.grey * (1, -1)
        self._seen = np.full((0, 4), -1)  # what the last images show, [B, 4]
        self._images = np.zeros((0, *view.space.shape), np.uint8)

    def observe(self, state: MazeState) -> np.ndarray:
        """See `Eyes`."""
        seen = np.column_stack([state.pose, state.blue, state.red, state.cue])
        if len(self._seen) != len(seen):  # the first look
            self._seen = np.full_like(seen, -1)
            self._images = np.zeros((len(seen), *self._images.shape[1:]), np.uint8)
        rows = np.flatnonzero((seen != self._seen).any(axis=1))
        if len(rows):
            pose, blue, red, cue = seen[rows].T
            self._images[rows] = self._caster.render(self._poses[pose], self._boxes(blue, red, cue))
        self._seen = seen
        return self._images.copy()

    def _boxes(self, blue: np.ndarray, red: np.ndarray, cue: np.ndarray) -> Boxes:
        places = np.empty((len(cue), 3, 2))
        places[:, 0], places[:, 1], places[:, 2] = self._places[blue], self._places[red], self._grey
        textures = np.tile([_BLUE, _RED, _SILENT], (len(cue), 1))
        textures[:, 2] += (cue < 0) * (_SAYS_BLUE - _SILENT) + (cue > 0) * (_SAYS_RED - _SILENT)
        return cube(places[:, :, 0], places[:, :, 1], 0.0, self._box_size, textures)


def wall_segments(maze: MazeMap) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline of all that is no wall, joined to as few straight walls as possible.

    Returns:
        Ends `[W, 2, 2]` (x, y in cells) and sides `[W]`: 0 north, 1 east, 2 south, 3 west of the
        floor in front of it.
    """
    floor = {(int(x), int(y)) for x, y in (*maze.centers, maze.grey)}
    ends, sides = [], []
    for side, (dx, dy) in enumerate(_SIDES):
        walled = {(x, y) for x, y in floor if (x + dx, y + dy) not in floor}
        along = np.array([abs(dy), abs(dx)])
        for x, y in sorted(walled):
            if (x - along[0], y - along[1]) in walled:
                continue  # part of a wall that begins before
            length = 1
            while (x + length * along[0], y + length * along[1]) in walled:
                length += 1
            start = np.array([x, y]) + 0.5 * np.array([dx, dy]) - 0.5 * along
            ends.append((start, start + length * along))
            sides.append(side)
    return np.array(ends), np.array(sides)
