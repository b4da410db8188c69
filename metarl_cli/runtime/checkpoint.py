"""Checkpoints that survive crashes, full disks and flipped bits.

A checkpoint is `ckpt-<env_steps>.pt` and, written after it, a manifest `ckpt-<env_steps>.json`
with its SHA-256: without a valid manifest the file does not count. Every file is written beside its
place, flushed to the disk and renamed. Loading never runs code from the file.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.core.files import write_atomically
from metarl_cli.runtime.checkpoint_file import load_file, save_file
from metarl_cli.runtime.manifest import BEST, OWN_NAME, Manifest, name_of, read_manifest

ABANDONED = "abandoned"  # checkpoints that a resumed run went back behind


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
        path = self.folder / name_of(env_steps)
        try:
            self.folder.mkdir(exist_ok=True)  # but never the run folder, if that was removed
            sha256, size = save_file(path, state)
            manifest = Manifest(path.name, sha256, size, env_steps, iteration, score)
            if best:  # before the checkpoint counts, or a crash here would lose that it was best
                self._name_best(manifest)
            write_atomically(path.with_suffix(".json"), manifest.encode())
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
        """The checkpoint with the best validation return so far.

        `best.json` names it; where that file is lost or damaged, the scores of the manifests say.
        """
        ranked = self._best_first()
        return ranked[0] if ranked else None

    def best_fault(self) -> str | None:
        """Why `best.json` does not say which checkpoint is the best, or None if it does."""
        path, candidates = self.folder / BEST, self._candidates()
        exists = os.path.lexists(path)
        if self._named_best(candidates) or not (exists or len(_scored(candidates)) > 1):
            return None
        return f"{path} is {'damaged' if exists else 'missing'}"

    def load_best(self) -> tuple[dict[str, Any], Manifest, list[str]]:
        """Load the best checkpoint that is intact, or the newest if none was scored.

        Returns:
            Its state, its manifest and what is damaged, a line each.
        """
        fault = self.best_fault()
        damaged = [fault] if fault else []
        for manifest in self._best_first():
            try:
                return self.load(manifest), manifest, damaged
            except UserError as error:
                damaged.append(str(error))
        state, manifest, more = self.load_latest()
        return state, manifest, [*damaged, *more]

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
        later = [
            p for p in self.folder.glob("ckpt-*.json") if p.stem > Path(name_of(env_steps)).stem
        ]
        with writing_into(self.folder):
            for path in (*later, *(p.with_suffix(".pt") for p in later)):
                (self.folder / ABANDONED).mkdir(exist_ok=True)
                if path.exists():
                    path.replace(self.folder / ABANDONED / path.name)
            self._remove_orphans()
            if (best := self.best()) is not None:
                self._name_best(best)
            else:
                (self.folder / BEST).unlink(missing_ok=True)

    def _candidates(self) -> list[Manifest]:
        """Manifests whose files are there, in full as it seems, oldest first."""
        return [m for m in self.manifests() if _size(self.folder / m.file) == m.size]

    def _named_best(self, candidates: Sequence[Manifest]) -> Manifest | None:
        """What `best.json` says, unless a manifest contradicts it."""
        named = read_manifest(self.folder / BEST)
        if named is None or named not in candidates:
            return None
        beaten = any(named.score is None or m.score > named.score for m in _scored(candidates))
        return None if beaten else named

    def _best_first(self) -> list[Manifest]:
        candidates = self._candidates()
        ranked = sorted(_scored(candidates), key=lambda m: -m.score)
        named = self._named_best(candidates)
        return ranked if named is None else [named, *(m for m in ranked if m != named)]

    def _name_best(self, manifest: Manifest) -> None:
        path = self.folder / BEST
        if read_manifest(path) == manifest:
            return
        if path.is_dir() and not path.is_symlink():  # the only thing that a file cannot replace
            path.rename(path.with_name(f"{BEST}.{time.time_ns()}"))
        write_atomically(path, manifest.encode())

    def _prune(self) -> None:
        """Keep the last `keep` checkpoints and the best, and remove what a crash has left.

        A damaged manifest and its checkpoint stay: whoever can mend the one gets back the other.
        """
        best = self.best()
        for old in self.manifests()[: -self.keep]:
            if best is None or old.file != best.file:
                path = self.folder / old.file
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
        self._remove_orphans()

    def _remove_orphans(self) -> None:
        """Remove checkpoints without any manifest, which never counted, and half-written files.

        Only the process that trains may do so, and not while it is writing.
        """
        for path in self.folder.glob("ckpt-*.pt"):
            if OWN_NAME.fullmatch(path.name) and not os.path.lexists(path.with_suffix(".json")):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def _scored(manifests: Sequence[Manifest]) -> list[Any]:
    return [m for m in manifests if m.score is not None and math.isfinite(m.score)]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
