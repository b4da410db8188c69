"""Where things are, and how a page links to them."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "outputs" / "reference"


def link(page: Path, target: Path) -> str:
    """Return the relative path from a page to a file of the repository."""
    return Path(os.path.relpath(target, page.parent)).as_posix()
