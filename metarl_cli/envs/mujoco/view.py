"""Pictures of MuJoCo scenes: through OpenGL where it works, otherwise a plain drawing of the geoms.

The plain drawing needs no graphics driver: an orthographic projection, far geoms drawn before near
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from metarl_cli.envs.base.drawing import GREEN, GREY, LIGHT, ORANGE, WHITE, Canvas, Colour
from metarl_cli.envs.mujoco.arrows import Arrow, draw_arrow
from metarl_cli.envs.mujoco.opengl import OpenGLScene, opengl_backend

HEIGHT, WIDTH = 240, 320  # pixels

Place = tuple[float, float, float, float]  # of a goal: x, y, z, radius (m)

_ARROW_M_PER_M_S = 0.6  # length of an arrow in the scene
_ARROWS_TOP, _ARROWS_APART = 26.0, 17.0  # pixels, in side views
_DOWN = np.array([1.0, -1.0])  # from up to pixels, which count from above
_OUTLINE_PIXELS = 1.5
_LEVEL = 20.0  # degrees: plain pictures from lower than this are side views
_VISIBLE_GROUPS = 3  # MuJoCo shows geoms of groups 0, 1 and 2
_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
_CIRCLE = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
_GEOM = mujoco.mjtGeom


@dataclass(frozen=True)
class SceneCamera:
    """Where pictures are taken from.

    Args:
        azimuth: direction of view around the vertical, degrees: 90 looks along +y, x to the right.
        elevation: of the direction of view, degrees: 0 is level, -90 looks straight down.
        span: width of what is seen at the robot's distance, m; more where a goal is farther away.
        height: what the middle of the picture shows, m above the ground.
        place: x and y of the middle of the picture, m; None follows the robot and its goals.
    """

    azimuth: float
    elevation: float
    span: float
    height: float = 0.0
    place: tuple[float, float] | None = None

    def axes(self) -> np.ndarray:
        """Return the unit vectors to the right, up and away from the camera, `[3, 3]`."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
        level = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        away = np.cos(elevation) * level + np.sin(elevation) * np.array([0.0, 0.0, 1.0])
        return np.stack([right, np.cross(right, away), away])


SIDE = SceneCamera(azimuth=90.0, elevation=-8.0, span=4.0, height=0.7)
ABOVE = SceneCamera(azimuth=90.0, elevation=-40.0, span=4.5, height=0.4)


class SceneView:
    """Draws one model from one camera; `close` it when done.

    Args:
        model: what to draw.
        camera: where from.
    """

    def __init__(self, model: mujoco.MjModel, camera: SceneCamera) -> None:
        self._model, self._data, self._camera = model, mujoco.MjData(model), camera
        self._opengl: OpenGLScene | None = None
        if (backend := opengl_backend()) is not None:
            self._opengl = OpenGLScene(model, backend, (HEIGHT, WIDTH))

    def picture(
        self, qpos: np.ndarray, goals: Sequence[Place] = (), arrows: Sequence[Arrow] = ()
    ) -> np.ndarray:
        """Return the scene at coordinates `[Q]`, uint8 `[240, 320, 3]`; goals are green discs.

        Arrows begin at the first body, or above it where it is seen from the side.
        """
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)
        focus, span = self._focus(goals)
        picture = self._scene(goals, focus, span)
        for place, arrow in enumerate(arrows):
            begin = self._root(focus, span)
            if abs(self._camera.elevation) < _LEVEL:
                begin[1] = _ARROWS_TOP + _ARROWS_APART * place
            shift = self._pixels(np.array([*arrow.velocity, 0.0]) * _ARROW_M_PER_M_S, span)
            picture = draw_arrow(picture, begin, begin + shift, arrow.colour)
        return picture

    def _root(self, focus: np.ndarray, span: float) -> np.ndarray:
        """Return where the first body is in the picture, `[2]` in pixels to the right and down."""
        middle = np.array([0.5 * WIDTH, 0.5 * HEIGHT])
        return middle + self._pixels(self._data.xpos[1] - focus, span)

    def _pixels(self, offset: np.ndarray, span: float) -> np.ndarray:
        """Return what an offset `[3]` in m is in the picture, `[2]`."""
        return _DOWN * (self._camera.axes()[:2] @ offset) * WIDTH / span

    def _scene(self, goals: Sequence[Place], focus: np.ndarray, span: float) -> np.ndarray:
        """Return the picture of the model where it stands now."""
        if self._opengl is None:
            return _Drawing(self._camera, focus, span).of(self._model, self._data, goals)
        camera = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(self._model, camera)
        camera.azimuth, camera.elevation = self._camera.azimuth, self._camera.elevation
        camera.lookat[:] = focus
        half_height = 0.5 * span * HEIGHT / WIDTH
        camera.distance = half_height / np.tan(0.5 * np.radians(self._model.vis.global_.fovy))
        return self._opengl.picture(self._data, camera, lambda scene: _add_goals(scene, goals))

    def close(self) -> None:
        """Release what pictures needed; may be called twice."""
        if self._opengl is not None:
            self._opengl.close()
        self._opengl = None

    def _focus(self, goals: Sequence[Place]) -> tuple[np.ndarray, float]:
        """Return the middle of the picture and its width: the first body, and goals if any."""
        camera = self._camera
        if camera.place is not None:
            return np.array([*camera.place, camera.height]), camera.span
        seen = np.array([self._data.xpos[1, :2], *(goal[:2] for goal in goals)])
        low, high = seen.min(axis=0), seen.max(axis=0)
        margin = 0.6 * camera.span
        wide, deep = (high - low) @ np.abs(camera.axes()[:2, :2]).T
        span = max(camera.span, wide + margin, (deep + margin) * WIDTH / HEIGHT)
        return np.array([*(low + high) / 2, camera.height]), float(span)


def _add_goals(scene: mujoco.MjvScene, goals: Sequence[Place]) -> None:
    for x, y, z, radius in goals:
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            _GEOM.mjGEOM_CYLINDER,
            np.array([radius, 0.005, 0.0]),
            np.array([x, y, z]),
            np.eye(3).ravel(),
            np.array([*GREEN, 200], np.float32) / 255,
        )
        scene.ngeom += 1


class _Drawing:
    """One plain picture; world points `[n, 3]` become `[n, 2]` in the plane of the picture."""

    def __init__(self, camera: SceneCamera, focus: np.ndarray, span: float) -> None:
        self._level = abs(camera.elevation) < _LEVEL
        self._axes = (replace(camera, elevation=0.0) if self._level else camera).axes()
        self._focus, self._span = focus, span
        self._pixels_per_m = WIDTH / span
        wide, tall = span / 2, span / 2 * HEIGHT / WIDTH
        self._canvas = Canvas((-wide, wide), (-tall, tall), size=WIDTH, background=WHITE)

    def of(self, model: mujoco.MjModel, data: mujoco.MjData, goals: Sequence[Place]) -> np.ndarray:
        """Draw ground, then goals and geoms from far to near; return the picture."""
        self._ground()
        visible = (model.geom_group < _VISIBLE_GROUPS) & (model.geom_rgba[:, 3] > 0)
        places = np.concatenate([data.geom_xpos, np.reshape([goal[:3] for goal in goals], (-1, 3))])
        for item in np.argsort(-(places @ self._axes[2]), kind="stable"):
            if item >= model.ngeom:
                self._disc(*goals[item - model.ngeom])
            elif visible[item]:
                self._geom(model, data, int(item))
        return self._canvas.image()

    def _flat(self, points: np.ndarray) -> np.ndarray:
        return (np.atleast_2d(points) - self._focus) @ self._axes[:2].T

    def _ground(self) -> None:
        """Draw a pattern with a period of a few metres, so that motion over the ground is seen."""
        x, y = np.floor(self._focus[:2])
        reach = np.ceil(self._span)
        if self._level:
            self._canvas.rectangle((-reach, -reach), (reach, -self._focus[2]), LIGHT)
        for place in np.arange(-reach, reach + 1):
            if self._level:
                left = float(x + place - self._focus[0])
                if (x + place) % 2 == 0:
                    self._canvas.rectangle((left, -reach), (left + 1, -self._focus[2]), GREY)
            else:
                for ends in (
                    [[x + place, y - reach, 0.0], [x + place, y + reach, 0.0]],
                    [[x - reach, y + place, 0.0], [x + reach, y + place, 0.0]],
                ):
                    self._canvas.line(self._flat(np.array(ends)), LIGHT, width=1)

    def _disc(self, x: float, y: float, z: float, radius: float) -> None:
        rim = np.stack([x + radius * np.cos(_CIRCLE), y + radius * np.sin(_CIRCLE)], axis=1)
        self._canvas.polygon(self._flat(np.c_[rim, np.full(len(rim), z)]), GREEN)

    def _geom(self, model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> None:
        kind, size = model.geom_type[geom], model.geom_size[geom]
        place, turn = data.geom_xpos[geom], data.geom_xmat[geom].reshape(3, 3)
        paint = _paint(model, geom)
        if kind == _GEOM.mjGEOM_BOX:
            self._box(place, turn * size, paint)
        elif kind == _GEOM.mjGEOM_CAPSULE:
            self._rod(place, turn[:, 2] * size[1], size[0], paint)
        elif kind == _GEOM.mjGEOM_CYLINDER:
            self._cylinder(place, turn, size, paint)
        elif kind != _GEOM.mjGEOM_PLANE:  # a sphere, or the ball around anything else
            radius = size[0] if kind == _GEOM.mjGEOM_SPHERE else model.geom_rbound[geom]
            self._rod(place, np.zeros(3), radius, paint)

    def _rod(self, middle: np.ndarray, half: np.ndarray, radius: float, paint: np.ndarray) -> None:
        ends = self._flat(np.stack([middle - half, middle + half]))
        for colour, width in ((_shade(paint, 0.6), radius), (_shade(paint, 1.0), 0.0)):
            inner = width or max(radius - _OUTLINE_PIXELS / self._pixels_per_m, 0.3 * radius)
            self._canvas.line(ends, colour, width=2 * inner * self._pixels_per_m)
            for x, y in ends:
                self._canvas.disc(x, y, inner, colour)

    def _box(self, middle: np.ndarray, half_edges: np.ndarray, paint: np.ndarray) -> None:
        """Draw the three faces that look at the camera; half edges are columns, `[3, 3]`."""
        for normal in range(3):
            edge = half_edges[:, normal]
            facing = -(edge @ self._axes[2]) / np.linalg.norm(edge)
            others = half_edges[:, [(normal + 1) % 3, (normal + 2) % 3]]
            corners = middle + np.sign(facing) * edge + _CORNERS @ others.T
            self._canvas.polygon(self._flat(corners), _shade(paint, 0.55 + 0.45 * abs(facing)))

    def _cylinder(
        self, middle: np.ndarray, turn: np.ndarray, size: np.ndarray, paint: np.ndarray
    ) -> None:
        circle = size[0] * np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE)], axis=1) @ turn[:, :2].T
        axis = turn[:, 2] * size[1]
        near = -axis if axis @ self._axes[2] > 0 else axis
        ends = self._flat(middle - near + circle), self._flat(middle + near + circle)
        for corner in range(len(_CIRCLE)):
            sides = [ends[0][corner - 1], ends[0][corner], ends[1][corner], ends[1][corner - 1]]
            self._canvas.polygon(np.array(sides), _shade(paint, 0.6))
        self._canvas.polygon(ends[1], _shade(paint, 1.0))


def _paint(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Return the colour of a geom, 0 to 1; one for all textures, which are not drawn here."""
    material = model.geom_matid[geom]
    if material < 0:
        return model.geom_rgba[geom]
    textured = (model.mat_texid[material] >= 0).any()
    return np.array(ORANGE) / 255 if textured else model.mat_rgba[material]


def _shade(paint: np.ndarray, brightness: float) -> Colour:
    red, green, blue = (int(255 * brightness * float(part)) for part in paint[:3])
    return red, green, blue
