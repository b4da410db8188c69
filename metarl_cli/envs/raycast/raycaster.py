"""First-person pictures of many small worlds at once, on the CPU, without OpenGL or a display.

All surfaces are upright or level and the camera looks horizontally, so one ray per image column
tells which wall closes the view (as in id Software's Wolfenstein 3D of 1992); wall, floor and
ceiling are then looked up per pixel, and the boxes of `boxes` are drawn over them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from metarl_cli.core.paths import usable_cores
from metarl_cli.envs.raycast.boxes import draw_boxes
from metarl_cli.envs.raycast.camera import FAR, NEAR, LevelCamera, View
from metarl_cli.envs.raycast.scene import Boxes, World, brightness
from metarl_cli.envs.raycast.textures import Atlas

_OVERLAP = 1e-6  # m by which walls reach past their ends, so that no ray slips through a corner
_MOST_ROWS = 64  # of the batch at once: what they need stays in the processor's cache
_FEWEST_ROWS = 8  # with fewer, threads wait for one another's Python


class RayCaster:
    """Renders a world; a picture depends on its own row's pose and boxes only.

    Args:
        world: walls, floor, ceiling and textures.
        camera: image size, field of view, eye height.
        threads: that share the rows, 0 for all CPUs; pictures do not depend on it.
    """

    def __init__(self, world: World, camera: LevelCamera, threads: int = 1) -> None:
        if not 0 < camera.eye_height < world.wall_height:
            raise ValueError(
                f"eye_height: got {camera.eye_height}, "
                f"expected between 0 and the walls' height, {world.wall_height}"
            )
        self.world, self.camera = world, camera
        self._num_threads = threads or usable_cores()
        self._threads = ThreadPoolExecutor(self._num_threads, thread_name_prefix="raycaster")
        self._atlas = Atlas(world.textures)
        edge = world.walls[:, 1] - world.walls[:, 0]
        self._length = np.hypot(edge[:, 0], edge[:, 1])[:, None, None]
        self._edge_x, self._edge_z = edge.T[:, :, None, None] / self._length  # [W, 1, 1]
        normal = self._edge_z[:, 0, 0], -self._edge_x[:, 0, 0]
        sides = [brightness(sign * normal[0], sign * normal[1]) for sign in (1, -1)]
        self._shade = self._atlas.shade(np.stack(sides))  # [2, W]
        self._planes = _Planes(world, camera, self._atlas)

    def render(self, poses: np.ndarray, boxes: Boxes) -> np.ndarray:
        """Return what cameras at `poses` see.

        Args:
            poses: float `[B, 3]`: x, z (m) and heading (rad).
            boxes: the same for all rows, `[1, K]`, or of each, `[B, K]`.

        Returns:
            uint8 `[B, height, width, 3]`.
        """
        camera, num = self.camera, len(poses)
        images = np.empty((num, camera.height, camera.width, 3), np.uint8)
        size = min(_MOST_ROWS, max(_FEWEST_ROWS, -(-num // self._num_threads)))
        pieces = [slice(start, start + size) for start in range(0, num, size)]

        def render(rows: slice) -> None:
            index = self._look_up(View(poses[rows], camera), boxes.rows(rows))
            self._atlas.paint(index, images[rows])

        in_turn_or_at_once = self._threads.map if len(pieces) > 1 < self._num_threads else map
        for _ in in_turn_or_at_once(render, pieces):
            pass
        return images

    def _look_up(self, view: View, boxes: Boxes) -> np.ndarray:
        """Palette indices of all pixels, `[b, h, w]`."""
        wall, depth, along, slant = self._nearest_walls(view)
        footprint = depth * self.camera.pixel / np.sqrt(np.abs(slant))
        strip = self._atlas.strip(self.world.wall_texture[wall], footprint, along)
        strip.start += self._shade[(slant > 0).astype(np.intp), wall]
        rise, wall_depth = view.rise.astype(np.float32), depth.astype(np.float32)
        height = rise[:, None] * wall_depth[:, None]  # above the eye, [b, h, w]
        height += np.float32(self.camera.eye_height)
        first, last = view.rows_between(0.0, self.world.wall_height, depth)
        row = np.arange(self.camera.height, dtype=np.int16)[:, None]
        index = self._planes.look_up(view)
        seen = (first[:, None] <= row) & (row < last[:, None])
        np.copyto(index, strip[:, None].index(height), where=seen)
        draw_boxes(index, view, boxes, depth, self._atlas)
        return index

    def _nearest_walls(self, view: View) -> tuple[np.ndarray, ...]:
        """Per column `[B, w]`: the wall in view, its depth, where along it, and how edge-on it is.

        A ray `p + t d` meets the wall `a + s e` at `t = (a - p) x e / d x e`, and there
        `s = (a - p) x d / d x e`.
        """
        to_x = (self.world.walls[:, :1, 0] - view.x[:, 0])[:, :, None]  # a - p: [W, B, 1]
        to_z = (self.world.walls[:, :1, 1] - view.z[:, 0])[:, :, None]
        slant = view.ray_x * self._edge_z - view.ray_z * self._edge_x  # d x e: [W, B, w]
        slant[np.abs(slant) < 1e-9] = 1e-9
        depth = (to_x * self._edge_z - to_z * self._edge_x) / slant
        along = (to_x * view.ray_z - to_z * view.ray_x) / slant
        missed = (depth < NEAR) | (np.abs(along - self._length / 2) > self._length / 2 + _OVERLAP)
        depth[missed] = FAR
        wall = depth.argmin(axis=0)
        chosen = (np.take_along_axis(a, wall[None], axis=0)[0] for a in (depth, along, slant))
        return wall, *chosen


class _Planes:
    """Floor and ceiling: each image row looks at one of them, at one depth."""

    def __init__(self, world: World, camera: LevelCamera, atlas: Atlas) -> None:
        rise = camera.rows()
        up = rise > 0
        texture = np.where(up, world.ceiling_texture, world.floor_texture)
        distance = np.where(up, world.wall_height - camera.eye_height, camera.eye_height)
        depth = np.minimum(distance / np.maximum(np.abs(rise), 1e-9), FAR)
        footprint = depth * camera.pixel * np.sqrt(depth / distance)
        level = atlas.level(texture, np.sqrt(2) * footprint)  # a little smoother than walls
        scale = atlas.scale(texture, level)  # texels per metre
        self._scale = scale.astype(np.float32)[:, None]
        self._reach = (scale * depth).astype(np.float32)[:, None]  # texels per unit of a ray
        self._u_mask = atlas.u_mask[texture, level][:, None]
        self._v_mask = atlas.v_mask[texture, level][:, None]
        self._start = atlas.offset[texture, level][:, None] + atlas.shade(1.0)

    def look_up(self, view: View) -> np.ndarray:
        """Return palette indices `[b, h, w]`, as if there were no walls."""
        index = self._texel(view.x, view.ray_x, self._u_mask)
        index *= self._v_mask + 1
        index += self._texel(view.z, view.ray_z, self._v_mask)
        index += self._start
        return index

    def _texel(self, position: np.ndarray, ray: np.ndarray, mask: np.ndarray) -> np.ndarray:
        position, ray = position.astype(np.float32)[:, None], ray.astype(np.float32)[:, None]
        texel = ray * self._reach  # [b, 1, w] x [h, 1] -> [b, h, w]
        texel += position * self._scale
        number = np.floor(texel, out=texel).astype(np.int32)
        number &= mask
        return number
