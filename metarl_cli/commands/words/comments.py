"""What the comments in a YAML say about its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

# Text before a comment: no #, or one that is quoted or does not follow white space.
COMMENT = re.compile(r"""^((?:"[^"]*"|'[^']*'|[^#"']|(?<=\S)#|["'])*?)(?:^|(?<=\s))#\s?(.*)$""")


@dataclass(frozen=True)
class _Key:
    """A key of a mapping in a text: dotted path, first line, column."""

    path: str
    line: int
    column: int


def comments_of(file: Path) -> dict[str, str]:
    """Return the explanation of each dotted key that has a comment in a YAML file.

    A comment belongs to the key beside it or, on lines of its own, to the key above it if it is
    indented deeper than that, else to the key below. Values of several lines are explained by all
    their comments; of keys on one line, the comment explains the only one inside, or the outermost.
    The header of the file explains none.
    """
    text = file.read_text(encoding="utf-8")
    keys, lines = _outermost(_all_keys(text)), text.splitlines()
    ends = [*(key.line for key in keys[1:]), len(lines)][: len(keys)]
    found: dict[str, str] = {}
    above: list[str] = []
    for key, end in zip(keys, ends, strict=True):
        own, below = _comments(lines[key.line : end], key.column)
        if explained := " ".join(above + own):
            found[key.path] = explained
        above = below
    return found


def keys_of(file: Path) -> list[str]:
    """Return the dotted keys that a YAML file sets, groups included, in order."""
    return [key.path for key in _all_keys(file.read_text(encoding="utf-8"))]


def header_of(file: Path) -> str:
    """Return the comments at the top of a YAML, without `#` and without lines for Hydra."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            lines.append(line.lstrip("# ").rstrip())
    return "\n".join(lines)


def _all_keys(text: str) -> list[_Key]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_keys(root, "")) if isinstance(root, yaml.MappingNode) else []


def _keys(node: yaml.MappingNode, prefix: str) -> Iterator[_Key]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        yield _Key(path, key.start_mark.line, key.start_mark.column)
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, f"{path}.")


def _outermost(keys: list[_Key]) -> list[_Key]:
    """Keep one key of each line: the only leaf if there is one, otherwise the first key."""
    by_line: dict[int, list[_Key]] = {}
    for key in keys:
        by_line.setdefault(key.line, []).append(key)
    return [_spokesman(group) for group in by_line.values()]


def _spokesman(group: list[_Key]) -> _Key:
    chain = all(b.path.startswith(f"{a.path}.") for a, b in pairwise(group))
    return _Key(group[-1].path, group[0].line, group[0].column) if chain else group[0]


def _comments(lines: list[str], column: int) -> tuple[list[str], list[str]]:
    """Split the comments in the lines of a key: its own, and those of the key that follows."""
    own: list[str] = []
    below: list[str] = []
    for line in lines:
        match = COMMENT.match(line)
        if match is None:
            below = below if line.strip() else []
            continue
        alone = not match[1].strip()
        if alone and len(match[1]) <= column:
            below.append(match[2].strip())
        else:
            own.append(match[2].strip())
    return own, below
