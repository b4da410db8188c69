"""What a run has left behind, for everybody who only reads: lists, tables, figures, later runs.

A run folder may be unfinished, damaged or come from a stranger. Here its files are data: looked at
when they are asked for, regular files of a limited size only, and what is wrong with them is one
line. Who writes them is `runtime.runs.RunFolder`; what they are called stands here alone.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from metarl_cli.core.errors import UserError
from metarl_cli.core.files import is_locked, read_regular
from metarl_cli.core.plain_yaml import read_plain_yaml
from metarl_cli.core.typed import typed
from metarl_cli.core.words import TEST, VALIDATION, short_settings
from metarl_cli.loggers.jsonl import Row, iterate_rows
from metarl_cli.runtime.evaluation import Evaluation, read_evaluation
from metarl_cli.runtime.manifest import read_manifest

if TYPE_CHECKING:
    from metarl_cli.runtime.checkpoint import CheckpointStore

MOST_META_BYTES = 1_000_000
OLD_HELD_OUT = f"{VALIDATION}/held_out"  # marked the row of the test in earlier versions
OLD_GROUP, GROUP = f"{VALIDATION}/", f"{TEST}/"  # of the metrics in that row, then and now
SCORE = f"{VALIDATION}/score"  # in the record: checkpoints are chosen by it


@dataclass(frozen=True)
class RunFiles:
    """The names of a run's files."""

    folder: Path

    @property
    def config(self) -> Path:
        """The resolved configuration that the run was made with."""
        return self.folder / "config.yaml"

    @property
    def record(self) -> Path:
        """The metrics, row by row."""
        return self.folder / "metrics.jsonl"

    @property
    def meta(self) -> Path:
        """The facts of `Identity`."""
        return self.folder / "meta.json"

    @property
    def evaluation(self) -> Path:
        """The meta-test of the checkpoint that training ended up with."""
        return self.folder / "eval.json"

    @property
    def film(self) -> Path:
        """A trial of the best agent in the first test task, if it was asked for."""
        return self.folder / "film.gif"

    @property
    def curves(self) -> Path:
        """The learning curve and the adaptation curve, if they were drawn."""
        return self.folder / "curves.png"

    @property
    def checkpoints(self) -> Path:
        """The folder of a `CheckpointStore`."""
        return self.folder / "checkpoints"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.folder / ".lock"


@dataclass(frozen=True)
class Identity:
    """What made a run and how it went; None stands for what is not known."""

    status: str | None = None  # running, finished, interrupted, failed
    env: str | None = None
    algo: str | None = None
    experiment: str | None = None
    seed: int | None = None
    commit: str | None = None
    command: list[str] | None = None  # what the user typed
    python: str | None = None
    platform: str | None = None
    cpu_count: int | None = None
    packages: dict[str, str | None] | None = None
    threads: int | None = None
    kernels: str | None = None  # torch, or loops in C for which processor
    env_steps: int | None = None
    wall_s: float | None = None
    wandb_run_id: str | None = None
    resumed: dict[str, Any] | None = None  # command, versions and commit of the last resumption
    name: str | None = None  # the user's for this run
    tags: list[str] | None = None  # likewise
    setting: list[str] | None = None  # `key=value` of what was chosen beside the names and the seed
    swept: list[str] | None = None  # what of it the sweep varies that the run is a job of

    @property
    def title(self) -> str:
        """Short name, `maml on cheetah_vel`."""
        return f"{self.algo} on {self.env}"

    @property
    def choices(self) -> dict[str, str]:
        """The options that the run was composed of, by their groups."""
        chosen = {"env": self.env, "algo": self.algo, "experiment": self.experiment}
        return {group: option for group, option in chosen.items() if option is not None}

    @property
    def names(self) -> dict[str, Any]:
        """What is known of a run before it begins, as meta.json keeps it."""
        first = ("env", "algo", "experiment", "seed", "name", "tags", "setting", "swept")
        return {key: getattr(self, key) for key in first}

    @property
    def label(self) -> str:
        """Name among other runs: `maml-cheetah_vel-step_size=0.1-s0`, or the user's own.

        Beside the user's name stands only what tells the jobs of a sweep apart.
        """
        swept = self.swept or []
        words = [self.name or f"{self.algo}-{self.env}", *short_settings(swept)]
        if self.name is None or self.swept is not None:
            words.append(f"s{self.seed}")
        return "-".join(words)

    @property
    def group(self) -> str:
        """Name that runs share which differ by their seed alone: `cheetah_vel/maml horizon=5`."""
        words = [f"{self.env}/{self.algo}", self.experiment, *short_settings(self.setting or [])]
        return " ".join(filter(None, words))

    @property
    def labels(self) -> list[str]:
        """Words to find the run by: the user's tags, its names, what a sweep varies."""
        names = [self.env, self.algo, self.experiment]
        words = [*(self.tags or []), *filter(None, names), *short_settings(self.swept or [])]
        return list(dict.fromkeys(words))

    def published(self) -> dict[str, Any]:
        """Return what others may know: not names in somebody's W&B account, nor his folders."""
        known = {key: x for key, x in asdict(self).items() if x is not None}
        known.pop("wandb_run_id", None)
        if self.command is not None:
            known["command"] = [x for x in self.command if not x.startswith("hydra.run.dir=")]
        return known


class RunRecord:
    """Read-only view of a run folder.

    Reading what is missing or damaged raises a UserError of one line; only `identity` knows less
    instead, and `fault` says why.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = RunFiles(folder)

    @cached_property
    def identity(self) -> Identity:
        """What is known of the run: as much of meta.json as can be read."""
        return self._meta[0]

    @property
    def fault(self) -> str | None:
        """What is wrong with meta.json, if anything."""
        return self._meta[1]

    def config(self) -> dict[str, Any]:
        """Read the settings as they were written, under the names of that version."""
        path = self.files.config
        try:
            settings = yaml.safe_load(read_plain_yaml(path))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {path}: not the config of a run") from error
        if not isinstance(settings, dict):
            raise UserError(f"{path} is not the config of a run")
        return settings

    def rows(self) -> Iterator[Row]:
        """Read the record row by row; a last one that a crash tore off is left out.

        Metrics have the names of this version, whatever version has written them.
        """
        return map(_present_names, iterate_rows(self.files.record))

    def evaluation(self) -> Evaluation:
        """Read the meta-test that training ended with."""
        return read_evaluation(self.files.evaluation)

    def checkpoints(self) -> CheckpointStore:
        """Give access to the checkpoints: their manifests, the best and the newest one."""
        from metarl_cli.runtime.checkpoint import CheckpointStore  # brings torch

        return CheckpointStore(self.files.checkpoints)

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint, as far as manifests tell; opens none, needs no torch."""
        return any(map(read_manifest, self.files.checkpoints.glob("ckpt-*.json")))

    @property
    def in_use(self) -> bool:
        """Whether a process is training in the folder in this moment."""
        try:
            with self.files.lock.open("rb") as file:
                return is_locked(file)
        except OSError:  # no lock: nobody has trained here yet
            return False

    @cached_property
    def _meta(self) -> tuple[Identity, str | None]:
        try:
            content = json.loads(read_regular(self.files.meta, most_bytes=MOST_META_BYTES))
        except UserError as error:
            return Identity(), str(error)
        except (ValueError, RecursionError):
            return Identity(), f"{self.files.meta} is damaged: no JSON"
        if not isinstance(content, dict):
            return Identity(), f"{self.files.meta} is damaged: not a mapping"
        known, faults = _known_facts(content)
        known.setdefault("experiment", _chosen(known.get("command") or [], "experiment"))
        return Identity(**known), f"{self.files.meta} is damaged: {faults[0]}" if faults else None


def _present_names(row: Row) -> Row:
    """Put the test that ends a run under `test/`, as it is now; it used to be under `eval/`."""
    if OLD_HELD_OUT not in row:
        return row
    old, new = OLD_GROUP, GROUP
    return {new + key.removeprefix(old) if key.startswith(old) else key: row[key] for key in row}


def _known_facts(content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Take what has the right type; name the rest."""
    hints, known, faults = typing.get_type_hints(Identity), {}, []
    for name in (field.name for field in fields(Identity) if field.name in content):
        try:
            known[name] = typed(hints[name], content[name], name)
        except ValueError as error:
            faults.append(str(error))
    return known, faults


def _chosen(command: list[str], group: str) -> str | None:
    """Read the option of a config group off a command line."""
    options = [word.partition("=")[2] for word in command if word.startswith(f"{group}=")]
    return options[-1] if options else None
