"""The file of one checkpoint: written once with its checksum, loaded only if that fits.

Loading never runs code from the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from metarl_cli.core.errors import UserError
from metarl_cli.core.files import open_regular, writing_atomically
from metarl_cli.runtime.checkpoint_schema import to_present
from metarl_cli.runtime.manifest import SCHEMA, Manifest, read_manifest


def save_file(path: Path, state: Mapping[str, Any]) -> tuple[str, int]:
    """Write a state; return the SHA-256 and the size in bytes of the file.

    The manifest of what was there before is removed: it is not that of the new content.

    Raises:
        OSError: it cannot be written; the old file and its manifest are still there.
    """
    with writing_atomically(path) as file:
        stream = _HashingStream(file)
        torch.save(dict(state), cast(BinaryIO, stream))
        stream.check()
        path.with_suffix(".json").unlink(missing_ok=True)
    return stream.digest.hexdigest(), stream.size


def load_file(path: Path, manifest: Manifest | None = None) -> dict[str, Any]:
    """Load a checkpoint file; its manifest is looked for beside it if not given.

    Tensors are mapped from the file: what is not looked at, such as experience where only an agent
    is wanted, takes no memory.
    """
    manifest = manifest or read_manifest(path.with_suffix(".json"))
    with open_regular(path) as file:
        return _load_from(file, path, manifest)


def _load_from(file: BufferedReader, path: Path, manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        raise UserError(f"{path} has no manifest beside it: not a checkpoint of metarl")
    if not 1 <= manifest.schema <= SCHEMA:
        raise UserError(f"{path} has checkpoint format {manifest.schema}, expected {SCHEMA}")
    size = os.fstat(file.fileno()).st_size
    if size != manifest.size or hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
        raise UserError(f"checkpoint {path} is damaged: its checksum does not match")
    same_file = f"/dev/fd/{file.fileno()}"  # by name, as mapping into memory wants it
    try:
        state = torch.load(same_file, weights_only=True, map_location="cpu", mmap=True)
        return to_present(state, manifest.schema)
    except Exception as error:  # a foreign file can provoke anything
        raise UserError(f"{path} does not hold a checkpoint of metarl") from error


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
