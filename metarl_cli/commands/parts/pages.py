"""Pages of text about settings: as wide as the terminal, 80 columns where there is none."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from metarl_cli.commands.parts.explanations import Setting
from metarl_cli.config.arguments import typed

WIDTH = 80  # columns without a terminal
WIDEST = 100  # of a terminal: longer lines are hard to read
COLUMN = 34  # where explanations begin


def width() -> int:
    """Return how many columns a page may take."""
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDEST)


def paragraph(text: str, *, indent: int = 0, hanging: int = 0) -> str:
    """Return a text in lines that fit; all but the first are indented by `hanging` more."""
    wrapper = textwrap.TextWrapper(
        width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return wrapper.fill(text)


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
    room = max(width() - COLUMN, 20)
    texts = textwrap.wrap(text, room, break_on_hyphens=False)
    if len(setting) >= COLUMN - 3 or not texts:
        return [f"  {setting}", *(" " * COLUMN + part for part in texts)]
    first = f"  {setting:{COLUMN - 2}}{texts[0]}"
    return [first, *(" " * COLUMN + part for part in texts[1:])]
