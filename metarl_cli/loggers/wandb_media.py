"""What a W&B run is given beside numbers: films, pictures, tables, files."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import numpy as np

from metarl_cli.core.protocols import Table
from metarl_cli.loggers.gif import write_gif


def log_video(run: Any, name: str, frames: np.ndarray, step: int) -> None:
    """Log frames `[T, H, W, 3]` uint8 as an animated GIF under `video/<name>`."""
    import wandb

    path = Path(run.settings.sync_dir) / f"video-{secrets.token_hex(4)}.gif"
    try:
        write_gif(path, frames)
        video = wandb.Video(str(path), format="gif")
        run.log({"env_steps": int(step), f"video/{name}": video})  # copies the file
    finally:
        path.unlink(missing_ok=True)


def log_image(run: Any, name: str, path: Path, step: int) -> None:
    """Log a picture that is a file under `image/<name>`."""
    import wandb

    run.log({"env_steps": int(step), f"image/{name}": wandb.Image(str(path))})


def log_table(run: Any, name: str, table: Table, step: int) -> None:
    """Log a table under its name."""
    import wandb

    logged = wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
    run.log({"env_steps": int(step), name: logged})


def log_artifact(run: Any, path: Path, kind: str, aliases: list[str]) -> None:
    """Publish a file; offline it is copied until the upload."""
    import wandb

    artifact = wandb.Artifact(f"{kind}-{run.id}", type=kind)
    artifact.add_file(str(path))
    run.log_artifact(artifact, aliases=aliases)
