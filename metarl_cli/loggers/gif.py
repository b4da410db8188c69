"""Frames to an animated GIF: needs no video encoder on the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_MAX_FRAMES = 100  # encoding takes 10 ms a frame
_PLAYING_TIME_MS = 4000


def write_gif(path: Path, frames: np.ndarray) -> None:
    """Write frames `[T, H, W, 3]` uint8, thinned to at most 100, as a loop of 4 s."""
    stride = -(-len(frames) // _MAX_FRAMES)
    images = [Image.fromarray(frame) for frame in frames[::stride]]
    duration_ms = max(20, _PLAYING_TIME_MS // len(images))  # viewers slow down below 20 ms
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration_ms, loop=0)
