"""The camera of the ray-cast worlds, and the rays of a batch of poses.

A ray goes one metre ahead, `columns` metres to the right and `rows` metres up, so that whatever it
meets has as its depth the distance along the camera's axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl_cli.core.checks import require_positive

NEAR = 1e-3  # m, depth of the closest that is seen
FAR = 1e3  # m, depth of what no wall closes off


@dataclass(frozen=True)
class LevelCamera:
    """A camera that looks horizontally.

    Args:
        width: pixels.
        height: pixels; they are square.
        vertical_fov: angle of view from bottom to top, rad.
        eye_height: height above the floor, m.
    """

    width: int
    height: int
    vertical_fov: float
    eye_height: float

    def __post_init__(self) -> None:
        require_positive(image_width=self.width, image_height=self.height)
        if not 0 < self.vertical_fov < np.pi:
            degrees = np.rad2deg(self.vertical_fov)
            raise ValueError(f"field_of_view: got {degrees:g} degrees, expected 0 < degrees < 180")

    @property
    def pixel(self) -> float:
        """Side of a pixel as seen one metre ahead, m."""
        return 2 * float(np.tan(self.vertical_fov / 2)) / self.height

    def columns(self) -> np.ndarray:
        """Return how far the columns' rays go to the right, m per metre ahead, `[width]`."""
        return (np.arange(self.width) + 0.5 - self.width / 2) * self.pixel

    def rows(self) -> np.ndarray:
        """Return how far the rows' rays go up, m per metre ahead, `[height]`, top row first."""
        return (self.height / 2 - np.arange(self.height) - 0.5) * self.pixel


class View:
    """The rays of a batch of poses.

    Args:
        poses: float `[B, 3]`: x, z, heading.
        camera: the camera at each of them.

    Attributes:
        x, z: positions, `[B, 1]`.
        ahead_x, ahead_z: where the cameras look, `[B, 1]`.
        right_x, right_z: what is on their right, `[B, 1]`.
        ray_x, ray_z: the columns' rays, `[B, width]`.
        rise: the rows' rays upwards, `[height]`.
    """

    def __init__(self, poses: np.ndarray, camera: LevelCamera) -> None:
        self.camera = camera
        self.x, self.z, heading = (poses[:, i : i + 1].astype(np.float64) for i in range(3))
        self.ahead_x, self.ahead_z = np.cos(heading), -np.sin(heading)
        self.right_x, self.right_z = -self.ahead_z, self.ahead_x
        columns = camera.columns()
        self.ray_x = self.ahead_x + columns * self.right_x
        self.ray_z = self.ahead_z + columns * self.right_z
        self.rise = camera.rows()

    def rows_between(
        self, low: np.ndarray | float, high: np.ndarray | float, depth: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that see heights from `low` to `high` at a depth: first and last + 1."""
        return self._first_row_below(high, depth), self._first_row_below(low, depth)

    def _first_row_below(self, height: np.ndarray | float, depth: np.ndarray) -> np.ndarray:
        camera = self.camera
        above_horizon = (height - camera.eye_height) / (depth * camera.pixel)  # pixels
        row = np.ceil(camera.height / 2 - 0.5 - above_horizon)
        return np.clip(row, 0, camera.height).astype(np.int16)
