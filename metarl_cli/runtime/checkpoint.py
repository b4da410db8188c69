"""Checkpoints that survive crashes, full disks and flipped bits.

A checkpoint is `ckpt-<env_steps>.pt` and, written after it, a manifest `ckpt-<env_steps>.json`
with its SHA-256: without a valid manifest the file does not count. Every file is written beside its
place, flushed to the disk and renamed. Loading never runs code from the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.runtime.checkpoint_schema import SCHEMA, to_present

ABANDONED = "abandoned"  # checkpoints that a resumed run went back behind


@dataclass(frozen=True)
class Manifest:
    """What is known of a checkpoint without opening it."""

    file: str
    sha256: str
    size: int
    env_steps: int
    iteration: int
    score: float | None  # validation return that the best checkpoint is chosen by
    schema: int = SCHEMA

    @property
    def consistent(self) -> bool:
        """Whether the fields have their types and the file is the one of `env_steps`."""
        score = self.score is None or isinstance(self.score, int | float)
        counts = (self.size, self.env_steps, self.iteration, self.schema)
        typed = score and isinstance(self.sha256, str) and all(type(n) is int for n in counts)
        return typed and self.file == _name(self.env_steps)


class CheckpointStore:
    """The checkpoints of one run: the last `keep` and the best."""

    def __init__(self, folder: Path, keep: int = 1) -> None:
        self.folder, self.keep = folder, keep

    def save(
        self,
        state: Mapping[str, Any],
        *,
        env_steps: int,
        iteration: int,
        score: float | None = None,
        best: bool = False,
    ) -> Path:
        """Write a checkpoint and prune old ones; on failure the earlier ones stay as they were."""
        path = self.folder / _name(env_steps)
        try:
            self.folder.mkdir(exist_ok=True)  # but never the run folder, if that was removed
            with writing_atomically(path) as file:
                stream = _HashingStream(file)
                torch.save(dict(state), cast(BinaryIO, stream))
                stream.check()
                # Now the file changes its content: the manifest must not be that of the old one.
                path.with_suffix(".json").unlink(missing_ok=True)
            manifest = Manifest(
                path.name, stream.digest.hexdigest(), stream.size, env_steps, iteration, score
            )
            if best:  # before the checkpoint counts, or a crash here would lose that it was best
                write_atomically(self.folder / "best.json", _encode(manifest))
            write_atomically(path.with_suffix(".json"), _encode(manifest))
        except OSError as error:
            raise RunError(f"cannot write checkpoint {path}: {error.strerror}") from error
        with contextlib.suppress(OSError):  # too many files are no reason to stop
            self._prune()
        return path

    def manifests(self) -> list[Manifest]:
        """All readable manifests, oldest first."""
        found = (read_manifest(p) for p in self.folder.glob("ckpt-*.json"))
        return sorted((m for m in found if m), key=lambda m: m.env_steps)

    def best(self) -> Manifest | None:
        """The checkpoint with the best validation return so far."""
        return read_manifest(self.folder / "best.json")

    def load_latest(self) -> tuple[dict[str, Any], Manifest, list[str]]:
        """Load the newest checkpoint that is intact, and say which newer ones are not."""
        damaged: list[str] = []
        for path in sorted(self.folder.glob("ckpt-*.json"), reverse=True):
            if (manifest := read_manifest(path)) is None:
                damaged.append(f"manifest {path} is damaged")
                continue
            try:
                return self.load(manifest), manifest, damaged
            except UserError as error:
                damaged.append(str(error))
        reason = f" ({damaged[0]})" if damaged else ""
        raise UserError(f"no usable checkpoint in {self.folder}{reason}")

    def load(self, manifest: Manifest) -> dict[str, Any]:
        """Load one checkpoint after comparing its checksum."""
        return load_file(self.folder / manifest.file, manifest)

    def go_back_to(self, env_steps: int) -> None:
        """Set later checkpoints aside: a run that goes on from here must not find them again."""
        later = [p for p in self.folder.glob("ckpt-*.json") if p.stem > Path(_name(env_steps)).stem]
        with writing_into(self.folder):
            for path in (*later, *(p.with_suffix(".pt") for p in later)):
                (self.folder / ABANDONED).mkdir(exist_ok=True)
                if path.exists():
                    path.replace(self.folder / ABANDONED / path.name)
            if (best := self.best()) and not (self.folder / best.file).exists():
                (self.folder / "best.json").unlink()

    def _prune(self) -> None:
        best = self.best()
        for old in self.manifests()[: -self.keep]:
            if best is None or old.file != best.file:
                path = self.folder / old.file
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)


def load_file(path: Path, manifest: Manifest | None = None) -> dict[str, Any]:
    """Load a checkpoint file; its manifest is looked for beside it if not given."""
    manifest = manifest or read_manifest(path.with_suffix(".json"))
    try:
        with path.open("rb") as file:
            return _load_from(file, path, manifest)
    except OSError as error:
        raise UserError(f"cannot read checkpoint {path}: {error.strerror}") from error


def _load_from(file: BufferedReader, path: Path, manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        raise UserError(f"{path} has no manifest beside it: not a checkpoint of metarl")
    if not 1 <= manifest.schema <= SCHEMA:
        raise UserError(f"{path} has checkpoint format {manifest.schema}, expected {SCHEMA}")
    digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    if size != manifest.size or digest != manifest.sha256:
        raise UserError(f"checkpoint {path} is damaged: its checksum does not match")
    file.seek(0)
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
        return to_present(state, manifest.schema)
    except Exception as error:  # a foreign file can provoke anything
        raise UserError(f"{path} does not hold a checkpoint of metarl") from error


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing, unreadable or of another file."""
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    own = path.name == "best.json" or path.with_suffix(".pt").name == manifest.file
    return manifest if own and manifest.consistent else None


class _HashingStream:
    """A file that is written once, from front to back, with its checksum.

    Its writer, in C++, must not see an exception pass: what went wrong is kept for `check`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        return len(data)

    def check(self) -> None:
        if self.error is not None:
            raise self.error

    def flush(self) -> None:
        self.file.flush()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there in full."""
    with writing_atomically(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that takes the place of `path` when all went well."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; a failure to write is a RunError."""
    try:
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def _name(env_steps: int) -> str:
    return f"ckpt-{env_steps:012d}.pt"


def _encode(manifest: Manifest) -> bytes:
    return (json.dumps(asdict(manifest), indent=1) + "\n").encode()
