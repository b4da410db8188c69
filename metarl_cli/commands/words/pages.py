"""Lines of text about settings and their groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metarl_cli.commands.words.explanations import Setting
from metarl_cli.commands.words.lines import hanging, paragraph
from metarl_cli.config.arguments import typed

COLUMN = 34  # where explanations begin


def options_line(group: str, options: Sequence[str]) -> str:
    """Return `group: option, option, ...`."""
    return paragraph(f"{group}: {', '.join(options)}", hanging=2)


def settings_lines(settings: Iterable[Setting]) -> list[str]:
    """Return a line `key=value   explanation` for each setting, and a heading for each group."""
    lines = []
    for item in settings:
        if item.is_group:
            lines += ["", paragraph(f"{item.key}: {item.text}" if item.text else f"{item.key}:")]
        else:
            lines += _explained(_typed(item), item.text)
    return lines


def _typed(item: Setting) -> str:
    return f"{item.key}=???" if item.value == "???" else typed(item.key, item.value)


def _explained(setting: str, text: str) -> list[str]:
    """Return a setting with its explanation beside it, or below if it is long."""
    below = " " * COLUMN
    if len(setting) < COLUMN - 3:
        return hanging(f"  {setting:{COLUMN - 2}}", text)
    return [f"  {setting}", *(hanging(below, text) if text else [])]
