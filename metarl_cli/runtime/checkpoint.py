"""Checkpoints that survive crashes, full disks and flipped bits.

A checkpoint is `ckpt-<env_steps>.pt` and, written after it, a manifest `ckpt-<env_steps>.json`
with its SHA-256: without a valid manifest the file does not count. Every file is written beside its
place, flushed to the disk and renamed. Loading never runs code from the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from metarl_cli.core.errors import RunError, UserError

SCHEMA = 1


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
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        data = buffer.getvalue()
        path = self.folder / f"ckpt-{env_steps:012d}.pt"
        digest = hashlib.sha256(data).hexdigest()
        manifest = Manifest(path.name, digest, len(data), env_steps, iteration, score)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)  # never a manifest of other content
            write_atomically(path, data)
            write_atomically(path.with_suffix(".json"), _encode(manifest))
            if best:
                write_atomically(self.folder / "best.json", _encode(manifest))
        except OSError as error:
            raise RunError(f"cannot write checkpoint {path}: {error.strerror}") from error
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
        for manifest in reversed(self.manifests()):
            try:
                return self.load(manifest), manifest, damaged
            except UserError as error:
                damaged.append(str(error))
        reason = f" ({damaged[0]})" if damaged else ""
        raise UserError(f"no usable checkpoint in {self.folder}{reason}")

    def load(self, manifest: Manifest) -> dict[str, Any]:
        """Load one checkpoint after comparing its checksum."""
        return load_file(self.folder / manifest.file, manifest)

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
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read checkpoint {path}: {error.strerror}") from error
    if manifest is None:
        raise UserError(f"{path} has no manifest beside it: not a checkpoint of metarl")
    if manifest.schema != SCHEMA:
        raise UserError(f"{path} has checkpoint format {manifest.schema}, expected {SCHEMA}")
    if len(data) != manifest.size or hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise UserError(f"checkpoint {path} is damaged: its checksum does not match")
    try:
        state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise UserError(f"{path} does not hold a checkpoint of metarl") from error
    if not isinstance(state, dict) or "parts" not in state:
        raise UserError(f"{path} does not hold a checkpoint of metarl")
    return state


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing or unreadable."""
    try:
        manifest = Manifest(**json.loads(path.read_text()))
        named = Path(manifest.file).name == manifest.file  # a bare name, not a path elsewhere
        return manifest if named else None
    except (OSError, ValueError, TypeError):
        return None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there in full."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
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


def _encode(manifest: Manifest) -> bytes:
    return (json.dumps(asdict(manifest), indent=1) + "\n").encode()
