"""Weights & Biases as a mirror of the record: it may be absent, slow or dead, the run goes on.

Every call is guarded: the first failure is one line and ends the mirroring. Nothing that W&B does
reaches the random streams or the signal handlers of the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from metarl_cli.core.errors import UserError
from metarl_cli.loggers.gif import write_gif
from metarl_cli.loggers.guard import call_within, environment, one_line, process_state_kept
from metarl_cli.loggers.jsonl import to_row
from metarl_cli.loggers.notices import tell

Mode = Literal["auto", "online", "offline", "disabled"]

_INTERRUPTED_S = 3.0  # patience with the upload when the scheduler waits for us to leave
_GRACE_S = 5.0  # added to finish_timeout_s before the W&B process counts as hung
_OWN_FILES = ("metrics.jsonl", "meta.json", "eval.json", "*.log")  # uploaded at the end


class WandbLogger:
    """Mirrors a run to W&B.

    Args:
        mode: `auto` = online if there is an API key and the server answers, else offline; `online`
            = the same, but refuse to start otherwise; `offline`; `disabled`. The environment
            variable WANDB_MODE decides in place of `auto`.
        project: W&B project.
        entity: User or team; None is the account's default.
        group: Group of runs; None is `default_group`.
        tags: Tags of the run.
        init_timeout_s: Seconds that the server has to answer at the start.
        finish_timeout_s: Seconds that the upload may take at the end.
        run_dir: Folder of the run; all W&B files are kept in it.
        config: The run's resolved configuration, any nesting; stored flat with dotted keys.
        name: Display name.
        default_group: Group if the user named none, `<env>/<algo>`.
        job_type: `train` or `eval`.
        run_id: Identity of the run to continue; None draws one. WANDB_RUN_ID comes first.
        resume: Whether the run `run_id` may already exist at the server.
    """

    def __init__(
        self,
        mode: Mode,
        project: str,
        entity: str | None,
        group: str | None,
        tags: Sequence[str],
        init_timeout_s: float,
        finish_timeout_s: float,
        *,
        run_dir: str | Path,
        config: Mapping[str, Any],
        name: str,
        default_group: str,
        job_type: str,
        run_id: str | None = None,
        resume: bool = False,
    ) -> None:
        self.run_id = os.environ.get("WANDB_RUN_ID") or run_id or secrets.token_hex(4)
        self._run_dir = Path(run_dir).resolve()
        self._timeouts_s = (init_timeout_s, finish_timeout_s)
        self._run: Any = None
        self._online = False
        self._broken = False
        self._video_failed = False
        self._environment = contextlib.ExitStack()
        self._arguments = {
            "project": project,
            "entity": entity,
            "group": group or default_group,
            "tags": list(tags),
            "name": name,
            "job_type": job_type,
            "config": flatten(config),
            "id": self.run_id,
            "resume": "allow" if resume else None,
        }
        chosen = _choose(mode)
        if chosen != "disabled":
            self._start(chosen)

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Log one row; the x-axis is `env_steps`, since W&B's own step cannot go back."""
        row = {key: value for key, value in to_row(metrics, step).items() if value is not None}
        self._guarded("log", lambda: self._run.log(row))

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Log frames `[T, H, W, 3]` uint8 as an animated GIF; a failure costs only the video."""
        if self._run is None or self._broken or self._video_failed:
            return
        try:
            with process_state_kept():
                self._log_video(name, frames, step)
        except Exception as error:
            self._video_failed = True
            tell(f"W&B: no videos ({one_line(error)}).")

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Publish a file; offline it is copied into the run folder until the upload."""
        self._guarded("artifact", lambda: self._log_artifact(Path(path), kind, aliases))

    def notice(self, text: str) -> None:
        """Ignore notices: they are for people."""

    def close(self, status: str) -> None:
        """Finish the run within the time limit."""
        if self._run is not None:
            if not self._broken:
                self._guarded("close", lambda: self._before_finish(status))
            with process_state_kept():
                self._finish(status)
            self._run = None
        self._environment.close()

    def _start(self, mode: Mode) -> None:
        self._environment.enter_context(environment(_folders(self._run_dir)))
        try:
            with process_state_kept():
                self._open(mode)
        except UserError:
            self._environment.close()
            raise
        except Exception as error:
            self._environment.close()
            tell(f"W&B: off ({one_line(error)}). The record metrics.jsonl is complete.")

    def _open(self, mode: Mode) -> None:
        reason = "" if mode == "offline" else self._try_online()
        if reason and mode == "online":
            raise UserError(
                f"W&B: {reason}; run `wandb login`, set WANDB_API_KEY, or choose "
                "logger.wandb.mode=offline"
            )
        if self._run is None:
            self._run = self._init("offline")
        tell(self._describe(reason))

    def _try_online(self) -> str:
        """Return why the run cannot be online, or an empty string if it is."""
        try:
            if not _has_key():
                return "no API key"
            self._run = self._init("online")
            self._online = True
        except Exception as error:
            _end_service()  # it still holds the run id
            return one_line(error)
        return ""

    def _init(self, mode: Literal["online", "offline"]) -> Any:
        offline = {"resume": None} if mode == "offline" else {}  # `wandb sync` joins pieces by id
        arguments = self._arguments | offline
        return _open_run(mode, self._run_dir, timeouts_s=self._timeouts_s, arguments=arguments)

    def _describe(self, reason: str) -> str:
        folder = self._run.settings.sync_dir
        if self._online:
            return f"W&B: online, {self._run.url}. Local copy in {folder}"
        why = f" ({reason})" if reason else ""
        return f"W&B: offline{why}. Data in {folder}; upload later with: wandb sync {folder}"

    def _log_video(self, name: str, frames: np.ndarray, step: int) -> None:
        import wandb

        path = self._run_dir / "wandb" / f"video-{secrets.token_hex(4)}.gif"
        try:
            write_gif(path, frames)
            video = wandb.Video(str(path), format="gif")
            self._run.log({"env_steps": int(step), f"video/{name}": video})  # copies the file
        finally:
            path.unlink(missing_ok=True)

    def _log_artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        import wandb

        artifact = wandb.Artifact(f"{kind}-{self.run_id}", type=kind)
        artifact.add_file(str(path))
        self._run.log_artifact(artifact, aliases=aliases)

    def _before_finish(self, status: str) -> None:
        if status == "interrupted" and self._online:
            self._run.mark_preempting()
        for pattern in _OWN_FILES:
            for path in self._run_dir.glob(pattern):
                self._run.save(str(path), base_path=str(self._run_dir), policy="end")

    def _finish(self, status: str) -> None:
        limit_s = self._timeouts_s[1] + _GRACE_S
        if status == "interrupted" or self._broken:
            limit_s = _INTERRUPTED_S
        code = 0 if status == "finished" else 1
        error = call_within(limit_s, lambda: self._run.finish(exit_code=code))
        if error is None and not self._broken:
            return
        _end_service()
        if error is not None and not self._broken:
            rest = f"Upload with: wandb sync {self._run.settings.sync_dir}"
            tell(f"W&B: not all uploaded ({one_line(error)}). {rest}")

    def _guarded(self, action: str, call: Callable[[], object]) -> None:
        if self._run is None or self._broken:
            return
        try:
            with process_state_kept():
                call()
        except Exception as error:
            self._broken = True
            why = f"{action}: {one_line(error)}"
            tell(f"W&B: stopped working ({why}). The run goes on; metrics.jsonl is complete.")


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"a.b": 1}` for `{"a": {"b": 1}}`; lists become text, which W&B can filter."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif value is None or isinstance(value, bool | int | float | str):
            flat[f"{prefix}{key}"] = value
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, default=str)
    return flat


def _choose(mode: Mode) -> Mode:
    if mode not in get_args(Mode):
        raise UserError(f"logger.wandb.mode={mode}: choose one of {', '.join(get_args(Mode))}")
    wish = os.environ.get("WANDB_MODE")
    if mode == "auto" and wish in ("offline", "disabled"):
        return "offline" if wish == "offline" else "disabled"
    return mode


def _has_key() -> bool:
    """Look for an API key without asking for it and without the network."""
    # Imported in functions: it takes a second, which disabled runs need not wait for, and a broken
    # installation of wandb is one more failure that must not stop a run.
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return bool(wandb.login(prompt=False, verify=False))


def _open_run(
    mode: Literal["online", "offline"],
    run_dir: Path,
    *,
    timeouts_s: tuple[float, float],
    arguments: dict[str, Any],
) -> Any:
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


def _folders(run_dir: Path) -> dict[str, str]:
    """Keep W&B out of the home folder, which may be read-only or small."""
    folder = run_dir / "wandb"
    return {
        "WANDB_DIR": str(run_dir),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
    }


def _end_service() -> None:
    """Kill a dead or hung W&B process: its exit hook would wait for it, the next run talk to it."""
    with contextlib.suppress(Exception):
        import wandb

        with contextlib.suppress(Exception):  # no public way leads to the process
            service: Any = wandb.setup()._connection
            service._proc._process.kill()
        call_within(_GRACE_S, wandb.teardown)
