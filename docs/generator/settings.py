"""Tables of an algorithm's settings, from the comments in `conf/` and docstrings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from generator.errors import PageError
from metarl_cli.commands.words.explanations import explain_settings
from metarl_cli.config.compose import options_of
from metarl_cli.config.schema import TrainConfig

# Words by which a comment says where a number is from.
SOURCE = re.compile(r"\b(paper|papers|code|authors|published|theirs|VariBAD|PEARL|MAML)\b", re.I)
PARENTHESIS = re.compile(r"\s*\(([^()]*)\)")


def settings(name: str, page: Path) -> str:
    """Return a row for each key below `algo`: its default, what it means, where that is from."""
    if name not in options_of("algo"):
        raise PageError(f"<!-- settings: {name} -->: no such algorithm")
    rows = ["| setting `algo.` | default | meaning | source |", "|---|---|---|---|"]
    for item in explain_settings("train", [f"algo={name}"], schema=TrainConfig):
        key = item.key.removeprefix("algo.")
        if item.is_group or key == item.key:
            continue
        meaning, source = parted(item.text)
        rows.append(f"| `{key}` | {_value(item.value)} | {_cell(meaning)} | {_cell(source)} |")
    return "\n".join(rows) + "\n"


def parted(text: str) -> tuple[str, str]:
    """Part what a setting means from where its value is from."""
    sources: list[str] = []

    def taken(found: re.Match[str]) -> str:
        if not SOURCE.search(found[1]):
            return found[0]
        sources.append(found[1])
        return ""

    parts = re.split(r"; ", PARENTHESIS.sub(taken, text))
    meaning = [part for part in parts if not SOURCE.search(part)]
    if not meaning:  # the only thing that is said
        return text, ""
    sources = [part for part in parts if SOURCE.search(part)] + sources
    return "; ".join(meaning), "; ".join(sources)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip(" ,")
