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
    return " / ".join(f"{row[kind]['mean']:.1f}" for row in episodes[: MAX_INDEX + 1])
