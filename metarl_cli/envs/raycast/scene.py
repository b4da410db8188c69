"""What a ray-cast world is made of: walls from floor to ceiling, and upright boxes.

Coordinates are MiniWorld's: x points east, z south, heights y up, all in m. A heading of 0 looks
along +x and grows counterclockwise on a map with north on top, so that it looks along
`(cos, -sin)` in (x, z) and `(sin, cos)` is on its right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from metarl_cli.envs.raycast.textures import Texture

# Horizontal direction towards the light: askew, so that all four sides of a box differ.
_LIGHT_X, _LIGHT_Z = -np.cos(0.4), np.sin(0.4)


@dataclass(frozen=True, eq=False)
class World:
    """The part that all rows of a batch share: `W` walls, floor, ceiling, all textures.

    Textures are named by their place in `textures`. Where no wall closes the view, floor and
    ceiling go on for ever.
    """

    walls: np.ndarray  # [W, 2, 2] both ends (x, z); seen from both sides
    wall_texture: np.ndarray  # [W]
    wall_height: float
    floor_texture: int
    ceiling_texture: int
    textures: Sequence[Texture]


def clearance(walls: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the distances `[B]` of points to the nearest of the walls `[W, 2, 2]`."""
    start, edge = walls[:, 0], walls[:, 1] - walls[:, 0]
    offset = np.stack([x, z], axis=-1)[:, None] - start  # [B, W, 2]
    along = (offset * edge).sum(axis=-1) / (edge * edge).sum(axis=-1)
    offset -= np.clip(along, 0.0, 1.0)[:, :, None] * edge
    return np.hypot(offset[:, :, 0], offset[:, :, 1]).min(axis=1)


FIELDS = ("x", "z", "heading", "depth", "width", "bottom", "top", "front", "sides", "cap")


class Boxes:
    """`K` upright boxes, the same in all rows of a batch (`[1, K]`) or not (`[B, K]`).

    Boxes may stand at any angle, lie on each other, hang, and be thin: posters, signs, parts of a
    key. They are seen from outside only. All arguments may have shape `[B, K]`, `[1, K]`, `[K]` or
    be one number for all.

    Args:
        x: centres, m.
        z: centres, m.
        heading: where their fronts look, rad.
        depth: size along the heading, m.
        width: size across it, m.
        bottom: height of the underside, m.
        top: height of the top, m.
        front: texture of the front; it starts at its lower left corner (so do those of the sides).
        sides: texture of the back, left and right.
        cap: texture of top and underside.

    Attributes:
        table: all of these, float64 `[10, 1 or B, K]`; `boxes["x"]` is the field x.
    """

    def __init__(
        self,
        *,
        x: ArrayLike,
        z: ArrayLike,
        heading: ArrayLike,
        depth: ArrayLike,
        width: ArrayLike,
        bottom: ArrayLike,
        top: ArrayLike,
        front: ArrayLike,
        sides: ArrayLike,
        cap: ArrayLike,
    ) -> None:
        values = (x, z, heading, depth, width, bottom, top, front, sides, cap)
        self.table = np.stack(np.broadcast_arrays(*(np.atleast_2d(value) for value in values)))

    @classmethod
    def of(cls, table: np.ndarray) -> Boxes:
        """Return the boxes of a table."""
        boxes = cls.__new__(cls)
        boxes.table = table
        return boxes

    @property
    def num_rows(self) -> int:
        """Rows of the batch that are told apart: 1 if all rows have the same boxes."""
        return self.table.shape[1]

    def rows(self, rows: slice | np.ndarray) -> Boxes:
        """Return the boxes of some rows of the batch."""
        return self if self.num_rows == 1 else Boxes.of(self.table[:, rows])

    def at(self, row: np.ndarray, box: np.ndarray) -> dict[str, np.ndarray]:
        """Return the fields of some boxes, `[N]` each, by row of the batch and number."""
        row = row if self.num_rows > 1 else np.zeros_like(row)
        fields = dict(zip(FIELDS, self.table[:, row, box], strict=True))
        return fields | {name: fields[name].astype(np.intp) for name in ("front", "sides", "cap")}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.table[FIELDS.index(name)]


def join(*groups: Boxes) -> Boxes:
    """Return the boxes of several groups as one; a group of one row goes into every row."""
    num_rows = max(group.num_rows for group in groups)
    tables = [group.table for group in groups]
    shapes = [(len(FIELDS), num_rows, table.shape[2]) for table in tables]
    spread = [np.broadcast_to(t, shape) for t, shape in zip(tables, shapes, strict=True)]
    return Boxes.of(np.concatenate(spread, axis=2))


def cube(x: ArrayLike, z: ArrayLike, heading: ArrayLike, side: float, texture: ArrayLike) -> Boxes:
    """Return cubes of one texture standing on the floor, centred at (x, z)."""
    return Boxes(
        x=x,
        z=z,
        heading=heading,
        depth=side,
        width=side,
        bottom=0.0,
        top=side,
        front=texture,
        sides=texture,
        cap=texture,
    )


# Parts of a key seen from its front: left, right (m from its middle), bottom, top (m).
_KEY = np.array(
    [
        [-0.70, -0.56, 0.12, 0.48],  # the bow, a ring
        [-0.24, -0.10, 0.12, 0.48],
        [-0.58, -0.22, 0.46, 0.60],
        [-0.58, -0.22, 0.00, 0.14],
        [-0.10, 0.70, 0.22, 0.38],  # the shaft
        [0.30, 0.44, 0.04, 0.22],  # the bit
        [0.54, 0.70, 0.00, 0.22],
    ]
)
_KEY_DEPTH = 0.12  # m


def key(x: ArrayLike, z: ArrayLike, heading: ArrayLike, texture: ArrayLike) -> Boxes:
    """Return keys of one texture on edge, 1.4 m long and 0.6 m high, centred at (x, z)."""
    left, right, bottom, top = _KEY.T
    middle = (left + right) / 2  # [parts]
    x, z, heading, texture = (np.atleast_2d(a)[:, :, None] for a in (x, z, heading, texture))
    parts = {  # [B, K, parts]
        "x": x - middle * np.sin(heading),
        "z": z - middle * np.cos(heading),
        "heading": heading,
        "depth": _KEY_DEPTH,
        "width": right - left,
        "bottom": bottom,
        "top": top,
        "front": texture,
        "sides": texture,
        "cap": texture,
    }
    together = np.broadcast_arrays(*parts.values())
    shape = (together[0].shape[0], together[0].shape[1] * len(_KEY))
    flat = (part.reshape(shape) for part in together)
    return Boxes(**dict(zip(parts, flat, strict=True)))


def brightness(normal_x: np.ndarray, normal_z: np.ndarray) -> np.ndarray:
    """Return how bright an upright surface is, in [0.6, 0.92], by its unit normal (tops are 1)."""
    return 0.76 + 0.16 * (normal_x * _LIGHT_X + normal_z * _LIGHT_Z)
