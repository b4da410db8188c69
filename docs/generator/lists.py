"""Tables of what can be chosen: environments and algorithms, from `conf/`."""

from __future__ import annotations

from pathlib import Path

from generator.errors import PageError
from metarl_cli.commands.listing import description
from metarl_cli.config.compose import options_of

GROUPS = {"env": "environment", "algo": "algorithm"}


def options(group: str, page: Path) -> str:
    """Return a row for each file of a group of `conf/`: the first line of its header."""
    if group not in GROUPS:
        raise PageError(f"<!-- list: {group} -->: there are {', '.join(GROUPS)}")
    rows = [f"| {GROUPS[group]} `{group}=` | what it is |", "|---|---|"]
    for option in options_of(group):
        first = description(f"{group}/{option}").partition("\n")[0]
        rows.append(f"| `{option}` | {first.rstrip('.')} |")
    return "\n".join(rows) + "\n"
