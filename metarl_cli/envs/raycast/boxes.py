"""The boxes of a ray-cast picture: only the columns and pixels that see one are worked on.

A column's ray crosses a box between two depths (slab test, Kay and Kajiya 1986). At the first it
sees a side; from there to the second it may see the top from above, or the underside from below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metarl_cli.envs.raycast.camera import NEAR, View
from metarl_cli.envs.raycast.scene import Boxes, brightness
from metarl_cli.envs.raycast.textures import DARKEST, Atlas


class _Pixels(NamedTuple):
    """What may be seen at some pixels: place in the batch of pictures, depth, palette index."""

    place: np.ndarray
    depth: np.ndarray
    colour: np.ndarray


def draw_boxes(
    index: np.ndarray, view: View, boxes: Boxes, wall_depth: np.ndarray, atlas: Atlas
) -> None:
    """Draw boxes over a batch of pictures wherever they are nearer than all else.

    Args:
        index: palette indices `[B, h, w]`, changed in place.
        view: the rays.
        boxes: the boxes, `[1, K]` or `[B, K]`.
        wall_depth: `[B, w]`, m.
        atlas: all textures.
    """
    hits = _hits(view, boxes, wall_depth)
    found = [_sides(hits, view, atlas), _caps(hits, view, atlas)]
    place, depth, colour = (np.concatenate(parts) for parts in zip(*found, strict=True))
    nearest = np.full(index.size, np.inf)
    np.minimum.at(nearest, place, depth)
    seen = depth == nearest[place]
    index.reshape(-1)[place[seen]] = colour[seen]


@dataclass(slots=True)
class _Hits:
    """Rays that cross boxes, `[N]` each. Lengths in m; "local" is the box's own frame."""

    row: np.ndarray  # of the batch
    column: np.ndarray
    boxes: dict[str, np.ndarray]  # the box's fields
    depth: np.ndarray  # where the ray enters
    end: np.ndarray  # where it leaves, or meets a wall
    x: np.ndarray  # local position of the camera, along the box's heading
    z: np.ndarray  # and to the right of it
    ray_x: np.ndarray  # local direction
    ray_z: np.ndarray
    lengthwise: np.ndarray  # bool: enters through the front or the back


def _hits(view: View, boxes: Boxes, wall_depth: np.ndarray) -> _Hits:
    row, box = _in_sight(view, boxes)
    fields = boxes.at(row, box)
    axis_x, axis_z = np.cos(fields["heading"]), -np.sin(fields["heading"])
    from_x, from_z = view.x[row, 0] - fields["x"], view.z[row, 0] - fields["z"]
    x, z = from_x * axis_x + from_z * axis_z, from_z * axis_x - from_x * axis_z
    axis_x, axis_z = axis_x[:, None], axis_z[:, None]
    ray_x = view.ray_x[row] * axis_x + view.ray_z[row] * axis_z  # [pairs, w]
    ray_z = view.ray_z[row] * axis_x - view.ray_x[row] * axis_z
    enter_x, leave_x = _slab(x, ray_x, fields["depth"])
    enter_z, leave_z = _slab(z, ray_z, fields["width"])
    enter = np.maximum(np.maximum(enter_x, enter_z), NEAR)
    leave = np.minimum(np.minimum(leave_x, leave_z), wall_depth[row])
    pair, column = np.nonzero(enter < leave)
    return _Hits(
        row=row[pair],
        column=column,
        boxes={name: values[pair] for name, values in fields.items()},
        depth=enter[pair, column],
        end=leave[pair, column],
        x=x[pair],
        z=z[pair],
        ray_x=ray_x[pair, column],
        ray_z=ray_z[pair, column],
        lengthwise=(enter_x > enter_z)[pair, column],
    )


def _in_sight(view: View, boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Rows and boxes whose surrounding circle touches the field of view."""
    to_x, to_z = boxes["x"] - view.x, boxes["z"] - view.z  # [B, K]
    ahead = to_x * view.ahead_x + to_z * view.ahead_z
    right = to_x * view.right_x + to_z * view.right_z
    radius = np.hypot(boxes["depth"], boxes["width"]) / 2
    slope = view.camera.width / 2 * view.camera.pixel
    near = np.abs(right) < ahead * slope + radius * np.hypot(1.0, slope)
    row, box = np.nonzero(near & (ahead > -radius))
    return row, box


def _slab(position: np.ndarray, ray: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths at which rays pass `-size / 2` and `size / 2`, the smaller first."""
    inverse = 1 / np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    middle, half = -position[:, None] * inverse, size[:, None] / 2 * np.abs(inverse)
    return middle - half, middle + half


def _sides(hits: _Hits, view: View, atlas: Atlas) -> _Pixels:
    """Front, back, left and right sides."""
    boxes, lengthwise = hits.boxes, hits.lengthwise
    ray = np.where(lengthwise, hits.ray_x, hits.ray_z)
    outwards = -np.sign(ray)  # of the side seen, along its local axis
    across = np.where(
        lengthwise, hits.z + hits.depth * hits.ray_z, hits.x + hits.depth * hits.ray_x
    )
    u = np.where(lengthwise, boxes["width"], boxes["depth"]) / 2
    u = u + across * np.where(lengthwise, -outwards, outwards)
    texture = np.where(lengthwise & (outwards > 0), boxes["front"], boxes["sides"])
    strip = atlas.strip(texture, hits.depth * view.camera.pixel / np.sqrt(np.abs(ray)), u)
    cos, sin = np.cos(boxes["heading"]), np.sin(boxes["heading"])
    normal_x, normal_z = np.where(lengthwise, cos, sin), np.where(lengthwise, -sin, cos)
    strip.start += atlas.shade(brightness(outwards * normal_x, outwards * normal_z))
    first, last = view.rows_between(boxes["bottom"], boxes["top"], hits.depth)
    last[hits.depth <= NEAR] = 0  # the camera stands over or under the box
    hit, pixel_row = _spread(first, last)
    depth = hits.depth[hit]
    height = view.camera.eye_height + view.rise[pixel_row] * depth
    index = strip[hit].index(height - boxes["bottom"][hit])
    return _Pixels(_place(hits, hit, pixel_row, view), depth, index)


def _caps(hits: _Hits, view: View, atlas: Atlas) -> _Pixels:
    """Tops seen from above and undersides seen from below."""
    boxes, eye = hits.boxes, view.camera.eye_height
    above = boxes["bottom"] > eye
    height = np.where(above, boxes["bottom"], np.minimum(boxes["top"], eye))
    first, last = np.sort(
        [view.rows_between(height, height, depth)[0] for depth in (hits.depth, hits.end)], axis=0
    )
    hit, pixel_row = _spread(first, last)
    distance = (height - eye)[hit]
    depth = distance / view.rise[pixel_row]
    texture = boxes["cap"][hit]
    u = hits.x[hit] + depth * hits.ray_x[hit] + boxes["depth"][hit] / 2
    v = hits.z[hit] + depth * hits.ray_z[hit] + boxes["width"][hit] / 2
    footprint = depth * view.camera.pixel * np.sqrt(depth / np.abs(distance))
    strip = atlas.strip(texture, footprint, u)
    strip.start += atlas.shade(np.where(above[hit], DARKEST, 1.0))
    return _Pixels(_place(hits, hit, pixel_row, view), depth, strip.index(v))


def _spread(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number all of `range(first[i], last[i])` for every i: i and the member of its range."""
    count = np.maximum(last - first, 0)
    item = np.repeat(np.arange(len(count)), count)
    start = first - (np.cumsum(count) - count)
    return item, np.arange(len(item)) + start[item]


def _place(hits: _Hits, hit: np.ndarray, pixel_row: np.ndarray, view: View) -> np.ndarray:
    camera = view.camera
    return (hits.row[hit] * camera.height + pixel_row) * camera.width + hits.column[hit]
