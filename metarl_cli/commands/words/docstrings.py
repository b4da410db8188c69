"""What docstrings say of classes and their arguments, read from the source: nothing is imported."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

SECTION = re.compile(r"(?:Args|Attributes):\n((?:[ \t]+\S.*\n|\n)+)")
ENTRY = re.compile(r"^    (\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Documented:
    """A class or function in words."""

    summary: str = ""  # the first sentence of its docstring
    arguments: dict[str, str] = field(default_factory=dict)  # also those of the classes inherited


def documented(target: str) -> Documented:
    """Return what the docstring of a class or function says; nothing if it cannot be found.

    Args:
        target: dotted path, as a `_target_` is written.
    """
    module, _, name = target.rpartition(".")
    node = _definitions(module).get(name)
    if node is None:
        return Documented()
    text = ast.get_docstring(node) or ""
    inherited = [documented(_path_of(module, base)) for base in _bases(node)]
    arguments: dict[str, str] = {}
    for parent in reversed(inherited):
        arguments |= parent.arguments
    own = _entries(text) | _entries(_init_docstring(node))
    return Documented(_first_sentence(text), arguments | own)


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=[.;]) (?=[A-Z])", paragraph)[0]


def _entries(docstring: str) -> dict[str, str]:
    """Return the entries of a docstring's section of arguments."""
    found = SECTION.search(f"{docstring}\n")
    if found is None:
        return {}
    return {name: " ".join(text.split()) for name, text in ENTRY.findall(found[1])}


def _init_docstring(node: ast.AST) -> str:
    for item in getattr(node, "body", []):
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return ast.get_docstring(item) or ""
    return ""


def _bases(node: ast.AST) -> list[str]:
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return [base.id for base in bases if isinstance(base, ast.Name)]


def _path_of(module: str, name: str) -> str:
    """Return the dotted path of a name that a module uses."""
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"{node.module}.{alias.name}"
    return f"{module}.{name}"


def _definitions(module: str) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    body = _tree(module).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


@functools.cache
def _tree(module: str) -> ast.Module:
    try:
        spec = find_spec(module) if module else None
        source = Path(str(spec.origin)).read_text(encoding="utf-8") if spec else ""
        return ast.parse(source)
    except (ImportError, OSError, ValueError, SyntaxError):
        return ast.Module(body=[], type_ignores=[])
