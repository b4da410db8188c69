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
from typing import Any, Literal

import numpy as np

from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Table
from metarl_cli.core.words import cut
from metarl_cli.loggers.guard import call_within, environment, one_line, process_state_kept
from metarl_cli.loggers.jsonl import to_row
from metarl_cli.loggers.notices import tell
from metarl_cli.loggers.wandb_media import log_artifact, log_image, log_table, log_video
from metarl_cli.loggers.wandb_session import (
    GRACE_S,
    Mode,
    choose_mode,
    end_service,
    folders,
    has_key,
    open_run,
)

_INTERRUPTED_S = 3.0  # patience with the upload when the scheduler waits for us to leave
_MOST_CHARACTERS = {"name": 128, "group": 128, "tags": 64}  # as the server has it
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
        config: The run's resolved configuration, any nesting; stored flat with dotted keys, so that
            an agent of a W&B sweep can pass all of it on. It cannot pass null, which is left out.
        name: Display name.
        default_group: Group if the user named none.
        job_type: `train` or `eval`.
        choices: Options that the configuration was composed of, by their groups; stored as well.
        run_tags: More tags.
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
        choices: Mapping[str, str] | None = None,
        run_tags: Sequence[str] = (),
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
            "group": cut(group or default_group, _MOST_CHARACTERS["group"]),
            "tags": [cut(tag, _MOST_CHARACTERS["tags"]) for tag in [*tags, *run_tags]],
            "name": cut(name, _MOST_CHARACTERS["name"]),
            "job_type": job_type,
            "config": _without_null(flatten(config)) | dict(choices or {}),
            "id": self.run_id,
            "resume": "allow" if resume else None,
        }
        chosen = choose_mode(mode)
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
                log_video(self._run, name, frames, step)
        except Exception as error:
            self._video_failed = True
            tell(f"W&B: no videos ({one_line(error)}).")

    def image(self, name: str, path: Path, step: int) -> None:
        """Log a picture that is a file."""
        self._guarded("image", lambda: log_image(self._run, name, Path(path), step))

    def table(self, name: str, table: Table, step: int) -> None:
        """Log a table."""
        self._guarded("table", lambda: log_table(self._run, name, table, step))

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Publish a file; offline it is copied into the run folder until the upload."""
        self._guarded("artifact", lambda: log_artifact(self._run, Path(path), kind, aliases))

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
        self._environment.enter_context(environment(folders(self._run_dir)))
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
            if not has_key():
                return "no API key"
            self._run = self._init("online")
            self._online = True
        except Exception as error:
            end_service()  # it still holds the run id
            return one_line(error)
        return ""

    def _init(self, mode: Literal["online", "offline"]) -> Any:
        offline = {"resume": None} if mode == "offline" else {}  # `wandb sync` joins pieces by id
        arguments = self._arguments | offline
        return open_run(mode, self._run_dir, timeouts_s=self._timeouts_s, arguments=arguments)

    def _describe(self, reason: str) -> str:
        folder = self._run.settings.sync_dir
        if self._online:
            return f"W&B: online, {self._run.url}. Local copy in {folder}"
        why = f" ({reason})" if reason else ""
        return f"W&B: offline{why}. Data in {folder}; upload later with: wandb sync {folder}"

    def _before_finish(self, status: str) -> None:
        if status == "interrupted" and self._online:
            self._run.mark_preempting()
        for pattern in _OWN_FILES:
            for path in self._run_dir.glob(pattern):
                self._run.save(str(path), base_path=str(self._run_dir), policy="end")

    def _finish(self, status: str) -> None:
        limit_s = self._timeouts_s[1] + GRACE_S
        if status == "interrupted" or self._broken:
            limit_s = _INTERRUPTED_S
        code = 0 if status == "finished" else 1
        error = call_within(limit_s, lambda: self._run.finish(exit_code=code))
        if error is None and not self._broken:
            return
        end_service()
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


def _without_null(flat: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flat.items() if value is not None}
