"""Starting and ending the process of Weights & Biases, which logs on behalf of this one.

wandb is imported in functions: that takes a second, which disabled runs need not wait for, and a
broken installation of it is one more failure that must not stop a run.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Literal, get_args

from metarl_cli.core.errors import UserError
from metarl_cli.loggers.guard import call_within

Mode = Literal["auto", "online", "offline", "disabled"]

GRACE_S = 5.0  # patience with a W&B process that may hang


def choose_mode(mode: Mode) -> Mode:
    """Return the mode to run in; the environment variable WANDB_MODE decides in place of `auto`."""
    if mode not in get_args(Mode):
        raise UserError(f"logger.wandb.mode={mode}: choose one of {', '.join(get_args(Mode))}")
    wish = os.environ.get("WANDB_MODE")
    if mode == "auto" and wish in ("offline", "disabled"):
        return "offline" if wish == "offline" else "disabled"
    return mode


def has_key() -> bool:
    """Look for an API key without asking for it and without the network."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return bool(wandb.login(prompt=False, verify=False))


def open_run(
    mode: Literal["online", "offline"],
    run_dir: Path,
    *,
    timeouts_s: tuple[float, float],
    arguments: dict[str, Any],
) -> Any:
    """Start a run whose x-axis is `env_steps`, with its files in `run_dir`."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    settings = wandb.Settings(
        silent=True,
        console="off",
        init_timeout=timeouts_s[0],
        finish_timeout=timeouts_s[1],
        finish_timeout_raises=True,
    )
    run = wandb.init(mode=mode, dir=str(run_dir), settings=settings, **arguments)
    run.define_metric("*", step_metric="env_steps")
    return run


def folders(run_dir: Path) -> dict[str, str]:
    """Keep W&B out of the home folder, which may be read-only or small."""
    folder = run_dir / "wandb"
    return {
        "WANDB_DIR": str(run_dir),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
    }


def end_service() -> None:
    """Kill a dead or hung W&B process: its exit hook would wait for it, the next run talk to it."""
    with contextlib.suppress(Exception):
        import wandb

        with contextlib.suppress(Exception):  # no public way leads to the process
            service: Any = wandb.setup()._connection
            service._proc._process.kill()
        call_within(GRACE_S, wandb.teardown)
