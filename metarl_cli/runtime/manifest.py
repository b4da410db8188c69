"""What is known of a checkpoint without opening it, in a small file beside it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from metarl_cli.core.errors import UserError
from metarl_cli.core.files import read_regular

SCHEMA = 2  # of the state in a checkpoint; older ones are brought into it by `checkpoint_schema`
BEST = "best.json"  # a copy of the manifest of the best checkpoint
OWN_NAME = re.compile(r"ckpt-\d{12,}\.pt")
MOST_BYTES = 2**16


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
        return typed and self.file == name_of(self.env_steps)

    def encode(self) -> bytes:
        """Return what is written into its file."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing, unreadable or of another file."""
    try:
        content = read_regular(path, most_bytes=MOST_BYTES)
        manifest = Manifest(**json.loads(content))
    except (UserError, ValueError, TypeError, RecursionError):
        return None
    own = path.name == BEST or path.with_suffix(".pt").name == manifest.file
    return manifest if own and manifest.consistent else None


def name_of(env_steps: int) -> str:
    """Return the name of the checkpoint after so many steps; names are ordered like steps."""
    return f"ckpt-{env_steps:012d}.pt"
