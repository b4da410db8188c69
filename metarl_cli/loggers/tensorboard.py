"""TensorBoard: the metrics, pictures and films of a run as event files in its folder.

Written by tensorboardX, which needs neither TensorFlow nor TensorBoard itself (the extra
`tensorboard`); shown by `tensorboard --logdir outputs`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter
from tensorboardX.proto.summary_pb2 import Summary

from metarl_cli.loggers.gif import write_gif
from metarl_cli.loggers.jsonl import to_row

FOLDER = "tensorboard"


class TensorBoardLogger:
    """Writes event files below `run_dir`; the x-axis is environment steps.

    Args:
        flush_s: seconds after which what was logged is in the file.
        run_dir: folder of the run.
        initial_step: environment steps of the checkpoint that a resumed run goes on from; what
            was logged after it is no longer shown.
    """

    def __init__(self, flush_s: int, *, run_dir: str | Path, initial_step: int = 0) -> None:
        purged = initial_step + 1 if initial_step else None
        folder = str(Path(run_dir) / FOLDER)
        self._writer = SummaryWriter(folder, purge_step=purged, flush_secs=flush_s)

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Write the numbers of a row."""
        for key, value in to_row(metrics, step).items():
            if isinstance(value, int | float) and key != "env_steps":
                self._writer.add_scalar(key, value, step)

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Write frames `[T, H, W, 3]` uint8 as an animated GIF, which TensorBoard plays."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.gif"
            write_gif(path, frames)
            content = path.read_bytes()
        height, width = frames.shape[1:3]
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=content
        )
        summary = Summary(value=[Summary.Value(tag=f"video/{name}", image=image)])
        self._writer.file_writer.add_summary(summary, step)

    def image(self, name: str, path: Path, step: int) -> None:
        """Write a picture that is a file."""
        pixels = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(f"image/{name}", pixels, step, dataformats="HWC")

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Ignore artifacts: they are files of their own."""

    def notice(self, text: str) -> None:
        """Ignore notices: they are for people."""

    def close(self, status: str) -> None:
        """Write out what is left."""
        self._writer.close()
