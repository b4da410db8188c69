"""Functions over trees: tensors nested in dicts, lists, tuples and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Tree = TypeVar("Tree")


def tree_map(fn: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply `fn` to the corresponding leaves of trees of one structure."""
    return cast(Tree, _map(fn, tree, *others))


def _map(fn: Callable[..., Any], tree: Any, *others: Any) -> Any:
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [f.name for f in dataclasses.fields(tree)]
        values = {n: _map(fn, *(getattr(t, n) for t in (tree, *others))) for n in names}
        return dataclasses.replace(tree, **values)
    if isinstance(tree, dict):
        return {key: _map(fn, *(t[key] for t in (tree, *others))) for key in tree}
    if isinstance(tree, list | tuple):
        return type(tree)(_map(fn, *leaves) for leaves in zip(tree, *others, strict=True))
    return fn(tree, *others)


def stack(trees: Sequence[Tree], dim: int = 0) -> Tree:
    """Stack equal trees along a new dimension."""
    return tree_map(lambda *leaves: torch.stack(leaves, dim), *trees)


def concatenate(trees: Sequence[Tree], dim: int = 0) -> Tree:
    """Concatenate equal trees along an existing dimension."""
    if len(trees) == 1:
        return trees[0]
    return tree_map(lambda *leaves: torch.cat(leaves, dim), *trees)


def index(tree: Tree, item: Any) -> Tree:
    """Index every leaf: `leaf[item]`."""
    return tree_map(lambda leaf: leaf[item], tree)


def clone(tree: Tree) -> Tree:
    """Copy every tensor; other leaves are kept."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)
