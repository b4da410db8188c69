"""Frames to an animated GIF: needs no video encoder on the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from metarl_cli.core.files import writing_atomically


def write_gif(
    path: Path, frames: np.ndarray, *, most_frames: int = 100, playing_time_ms: int = 4000
) -> None:
    """Write frames `[T, H, W, 3]` uint8 as a loop; encoding takes 10 ms a frame.

    Args:
        path: the file.
        frames: pictures of one size.
        most_frames: more of them are thinned evenly.
        playing_time_ms: of the loop; longer if a frame would be shown for less than 20 ms.
    """
    stride = -(-len(frames) // most_frames)
    images = [Image.fromarray(frame) for frame in frames[::stride]]
    duration_ms = max(20, playing_time_ms // len(images))  # viewers slow down below 20 ms
    with writing_atomically(path) as file:
        images[0].save(
            file, "GIF", save_all=True, append_images=images[1:], duration=duration_ms, loop=0
        )
