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


def by_task(tree: Tree, num_tasks: int) -> Tree:
    """Regroup steps `[T, N * E, ...]` as samples of each task `[N, T * E, ...]`, time first."""
    return tree_map(
        lambda leaf: leaf.unflatten(1, (num_tasks, -1)).transpose(0, 1).flatten(1, 2), tree
    )


def index(tree: Tree, item: Any) -> Tree:
    """Index every leaf: `leaf[item]`."""
    return tree_map(lambda leaf: leaf[item], tree)


def plain(tree: Any) -> Any:
    """Return the tree with dicts in place of dataclasses: what a checkpoint may hold."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        tree = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}
    return {key: plain(x) for key, x in tree.items()} if isinstance(tree, dict) else tree


def structured(plain_tree: Any, like: Tree) -> Tree:
    """Undo `plain`, by the example of a tree of the same structure."""
    if dataclasses.is_dataclass(like) and not isinstance(like, type):
        names = [f.name for f in dataclasses.fields(like)]
        values = {n: structured(plain_tree[n], getattr(like, n)) for n in names}
        return dataclasses.replace(like, **values)
    if isinstance(like, dict):
        return cast(Tree, {key: structured(plain_tree[key], x) for key, x in like.items()})
    return cast(Tree, plain_tree)


def leaves(tree: Any) -> list[Any]:
    """Return all leaves, in order."""
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def clone(tree: Tree) -> Tree:
    """Copy every tensor; other leaves are kept."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)
