"""Pictures of MuJoCo scenes through OpenGL, with or without a display.

`mujoco.Renderer` takes the one backend that was fixed when `mujoco` was imported, GLFW by default,
which needs a display. Here the backend is chosen when the first picture is asked for, and tried out
in a process of its own: drivers that do not work are known to end the process that calls them.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import mujoco
import numpy as np

TRIAL_S = 60.0  # longest time a backend may take to prove that it works

_OFF = ("disable", "disabled", "off", "false", "0")  # values of MUJOCO_GL, as in MuJoCo itself
_DEFAULT = ("enable", "enabled", "on", "true", "1", "")
_TRIAL = """
import importlib, mujoco, sys
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), 100).free()
context.free()
"""


def opengl_backend() -> str | None:
    """Return the name of an OpenGL backend that works here; None if there is none.

    The environment variable MUJOCO_GL decides (`disable` turns OpenGL off), otherwise the display,
    otherwise what renders without one: EGL, then OSMesa.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if wanted in _OFF:
        return None
    if wanted not in _DEFAULT:
        return _first_that_works(("glfw" if wanted in ("glx", "wgl") else wanted,))
    if sys.platform == "darwin":
        return _first_that_works(("cgl", "glfw"))
    has_display = sys.platform == "win32" or "DISPLAY" in os.environ
    return _first_that_works(("glfw", "egl", "osmesa") if has_display else ("egl", "osmesa"))


@functools.cache
def _first_that_works(backends: tuple[str, ...]) -> str | None:
    return next(filter(_works, backends), None)


def _works(backend: str) -> bool:
    environment = {key: value for key, value in os.environ.items() if key != "MUJOCO_GL"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRIAL, backend],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TRIAL_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class OpenGLScene:
    """The drawing context of one model; `close` it when done.

    Args:
        model: what to draw; at most 640 x 480 pixels unless its XML says otherwise.
        backend: a name from `opengl_backend`.
        size: height and width in pixels.
    """

    def __init__(self, model: mujoco.MjModel, backend: str, size: tuple[int, int]) -> None:
        height, width = size
        self._model, self._shape = model, (height, width, 3)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self.scene = mujoco.MjvScene(model, model.ngeom + 100)
        self._opengl = import_module(f"mujoco.{backend}").GLContext(width, height)
        self._opengl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)

    def picture(
        self, data: mujoco.MjData, camera: mujoco.MjvCamera, add: Callable[[mujoco.MjvScene], None]
    ) -> np.ndarray:
        """Return the scene as uint8 `[height, width, 3]`; `add` puts more into it."""
        kinds = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, data, mujoco.MjvOption(), None, camera, kinds, self.scene
        )
        add(self.scene)
        self._opengl.make_current()
        pixels = np.empty(self._shape, np.uint8)
        mujoco.mjr_render(self._rectangle, self.scene, self._context)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._context)
        return pixels[::-1].copy()  # OpenGL counts rows from below

    def close(self) -> None:
        """Give the graphics memory back; may be called twice."""
        if self._context is not None:
            self._opengl.make_current()
            self._context.free()
            self._opengl.free()
        self._context = self._opengl = None
