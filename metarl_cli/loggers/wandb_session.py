"""Starting and ending the process of Weights & Biases, which logs on behalf of this one.

wandb is imported in functions: that takes a second, which disabled runs need not wait for, and a
broken installation of it is one more failure that must not stop a run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
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
    with _no_launch_inputs():
        run = wandb.init(mode=mode, dir=str(run_dir), settings=settings, **arguments)
    run.define_metric("*", step_metric="env_steps")
    return run


@contextlib.contextmanager
def _no_launch_inputs() -> Iterator[None]:
    """Keep wandb from importing half of itself to look for inputs that can only be staged there.

    They belong to W&B Launch. Beside torch that import takes longer than torch's own: for each of
    80 models it goes through all modules that are loaded.
    """
    from wandb.sdk.wandb_run import Run

    name = "_detect_and_apply_job_inputs"  # no public way; another name costs time, nothing else
    method = getattr(Run, name, None)
    if method is None or "wandb.sdk.launch" in sys.modules:
        yield
        return
    setattr(Run, name, lambda run: None)
    try:
        yield
    finally:
        setattr(Run, name, method)


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
