"""Writes the generated parts of README.md and docs/: `python docs/generate.py`.

With `--check` it only says which pages are out of date (exit code 1). A generated part stands
between two lines, `<!-- KIND: WHAT -->` and `<!-- end -->`; all else in a page is written by hand.
The kinds are those of `generator.sections`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generator.sections import PageError, renewed

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Write the pages, or tell which are out of date."""
    status = 0
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        name, old = page.relative_to(ROOT).as_posix(), page.read_text("utf-8")
        try:
            new = renewed(old, page)
        except PageError as error:
            sys.stderr.write(f"{name}: {error}\n")
            status = 1
            continue
        if new != old and "--check" in arguments:
            sys.stderr.write(f"{name}: out of date; run: python docs/generate.py\n")
            status = 1
        elif new != old:
            page.write_text(new, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
