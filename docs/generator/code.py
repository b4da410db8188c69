"""Lines of the code, and what its docstrings say: read as text, nothing is imported."""

from __future__ import annotations

import ast
import functools
import re
import textwrap
from pathlib import Path

from generator.errors import PageError
from generator.places import ROOT, link

MOST_LINES = 45  # of a function in a page: what is longer is no illustration
TITLE = "Differences from the paper:\n"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def code(what: str, page: Path) -> str:
    """Return a function's lines, without its docstring, below a link to its file.

    Args:
        what: `PATH:NAME` or `PATH:CLASS.NAME`.
        page: where they will stand.
    """
    path, _, name = what.partition(":")
    lines = lines_of(path, name)
    if len(lines) > MOST_LINES:
        raise PageError(f"{what}: {len(lines)} lines, more than the {MOST_LINES} of a page")
    body = "\n".join(["```python", *lines, "```"])
    return f"[`{path}`]({link(page, ROOT / path)}), `{name}`:\n\n{body}\n"


def lines_of(path: str, name: str) -> list[str]:
    """Return the lines of a function without its docstring, moved to the left margin."""
    text = _text(path)
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        node = _inside(node, part, f"{path}:{name}")
    if not isinstance(node, Function):
        raise PageError(f"{path}:{name}: not a function")
    first = min([node.lineno, *(line.lineno for line in node.decorator_list)])
    lines = text.splitlines()
    kept = [*range(first, node.lineno + 1), *range(node.lineno + 1, (node.end_lineno or 0) + 1)]
    if (said := _docstring(node)) is not None:
        kept = [line for line in kept if not said.lineno <= line <= (said.end_lineno or 0)]
    return textwrap.dedent("\n".join(lines[line - 1] for line in kept)).splitlines()


def differences(path: str, page: Path) -> str:
    """Return what the docstring of a module says under `Differences from the paper:`."""
    text = ast.get_docstring(ast.parse(_text(path))) or ""
    if TITLE not in text:
        raise PageError(f"{path}: its docstring has no {TITLE.strip()!r}")
    listed = text.partition(TITLE)[2].partition("\n\n")[0]
    return _as_markdown(listed) + "\n"


def _inside(node: ast.AST, name: str, what: str) -> ast.AST:
    for item in getattr(node, "body", []):
        if isinstance(item, ast.ClassDef | Function) and item.name == name:
            return item
    raise PageError(f"{what}: there is no {name}")


def _docstring(node: Function) -> ast.stmt | None:
    return None if ast.get_docstring(node) is None else node.body[0]


def _as_markdown(text: str) -> str:
    """Escape what Markdown would take for emphasis, outside of `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_<])", r"\\\1", part) for part in parts
    )


@functools.cache
def _text(path: str) -> str:
    file = ROOT / path
    if not file.is_file():
        raise PageError(f"{path}: there is no such file")
    return file.read_text("utf-8")
