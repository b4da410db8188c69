"""What has been written over since a mark, so that it can be put back."""

from __future__ import annotations

from typing import Any

from metarl_cli.core import tree


class UndoLog:
    """Remembers rows of a store before they are written over.

    It costs a copy of what is written, never of the store.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Any, Any]] = []  # place, and what stood there

    def clear(self) -> None:
        """Forget everything: a mark is set."""
        self._kept = []

    def keep(self, store: Any, place: Any) -> None:
        """Remember the rows of a tree of tensors that are about to change.

        Args:
            store: tensors `[rows, ...]`.
            place: an advanced index, such as a tensor of rows or a tuple of them.
        """
        self._kept.append((place, tree.index(store, place)))

    def restore(self, store: Any) -> None:
        """Put everything back into the store, the latest change first."""
        for place, rows in reversed(self._kept):
            put(store, place, rows)
        self.clear()


def put(store: Any, place: Any, rows: Any) -> None:
    """Write rows into every tensor of a tree: `leaf[place] = rows`."""

    def write(leaf: Any, new: Any) -> Any:
        leaf[place] = new
        return leaf

    tree.tree_map(write, store, rows)
