"""Tables of published runs, for the README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_INDEX = 3


def reference_table(folder: Path) -> str:
    """Markdown table of the runs below a folder: what made them and what they measured."""
    lines = [
        "| run and command | training | online return after 0 / 1 / 2 / 3 | probe | commit |",
        "|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*/eval.json")):
        document = json.loads(path.read_text())
        meta = json.loads((path.parent / "meta.json").read_text())
        lines.append(_row(path.parent.name, document, meta))
    return "\n".join(lines) + "\n"


def _row(name: str, document: dict[str, Any], meta: dict[str, Any]) -> str:
    command = " ".join(meta["command"])
    training = f"{meta['env_steps']:.2g} steps, {meta['wall_s'] / 60:.0f} min"
    training += f"; tested at {document['env_steps']:.2g}"
    online, probe = (_curve(document["episodes"], kind) for kind in ("online", "probe"))
    return f"| **{name}**<br>`{command}` | {training} | {online} | {probe} | {meta.get('commit')} |"


def _curve(episodes: list[dict[str, Any]], kind: str) -> str:
    digits = digits_of(episodes)
    means = [f"{row[kind]['mean']:.{digits}f}" for row in episodes]
    first = " / ".join(means[: MAX_INDEX + 1])
    return first + (
        f" ... {means[-1]} after {len(means) - 1}" if len(means) > MAX_INDEX + 1 else ""
    )


def digits_of(episodes: list[dict[str, Any]]) -> int:
    """Decimals that the returns of a meta-test are shown with: more for small ones."""
    largest = max(
        abs(row[kind]["mean"]) for row in episodes for kind in ("online", "probe") if kind in row
    )
    return 1 if largest >= 10 else 2
