"""Frames to a film in MP4, where the extra `film` (imageio-ffmpeg) is installed."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from metarl_cli.core.files import write_atomically

_FRAMES_PER_S = (1.0, 50.0)  # no film is slower or faster


def can_write_mp4() -> bool:
    """Whether there is an encoder."""
    return find_spec("imageio_ffmpeg") is not None


def write_mp4(path: Path, frames: np.ndarray, *, playing_time_ms: int) -> None:
    """Write frames `[T, H, W, 3]` uint8 as H.264, which browsers and slides play.

    Args:
        path: the file.
        frames: pictures of one size; odd edges get one more line, as the encoder needs.
        playing_time_ms: of the film.

    Raises:
        OSError: the encoder or the disk failed.
    """
    import imageio_ffmpeg

    _, height, width, _ = frames.shape
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    low, high = _FRAMES_PER_S
    fps = min(max(1000.0 * len(frames) / playing_time_ms, low), high)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        size = (even.shape[2], even.shape[1])
        encoder = imageio_ffmpeg.write_frames(str(film), size, fps=fps, macro_block_size=2)
        encoder.send(None)
        for frame in even:
            encoder.send(np.ascontiguousarray(frame))
        encoder.close()
        write_atomically(path, film.read_bytes())
