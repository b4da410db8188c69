"""The latest whole trials, for learning from them more than once."""

from __future__ import annotations

from typing import Any, Generic

import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.checks import require_at_least
from metarl_cli.core.errors import UserError
from metarl_cli.core.tree import Tree
from metarl_cli.core.undo import UndoLog, put

MOST_BYTES = 2_000_000_000


class TrialBuffer(Generic[Tree]):
    """A ring of at most `capacity` trials, such as the columns of a `Trajectory`.

    Args:
        capacity: number of trials kept; the oldest make room.
        length: T, steps of the longest trial; shorter ones are filled up with zeros.
    """

    def __init__(self, capacity: int, length: int) -> None:
        require_at_least(1, capacity=capacity)
        self.capacity, self.length = capacity, length
        self.num = self._next = 0
        self._stored: Any = None  # [capacity, length, ...], allocated by the first trial
        self._loaded: Any = None  # what a checkpoint gave back, until a trial says what it is
        self._undo = UndoLog()
        self.mark()

    def add(self, trials: Tree) -> None:
        """Store trials `[T, B, ...]`, always of the same names and sizes."""
        self._require_room(trials)

        def allocate(x: Tensor) -> Tensor:
            return x.new_zeros(self.capacity, self.length, *x.shape[2:])

        def fill(stored: Tensor, saved: Tensor) -> Tensor:
            stored[: len(saved)] = saved.to(stored.device)
            return stored

        def filled_up(x: Tensor) -> Tensor:
            newest = x[:, -self.capacity :].transpose(0, 1)
            out = newest.new_zeros(len(newest), self.length, *newest.shape[2:])
            out[:, : newest.shape[1]] = newest
            return out

        if self._stored is None:
            self._stored = tree.tree_map(allocate, trials)
        if self._loaded is not None:
            loaded = tree.structured(self._loaded, trials)
            self._stored, self._loaded = tree.tree_map(fill, self._stored, loaded), None
        first = tree.leaves(trials)[0]
        count = min(first.shape[1], self.capacity)
        rows = (self._next + torch.arange(count, device=first.device)) % self.capacity
        self._undo.keep(self._stored, rows)
        put(self._stored, rows, tree.tree_map(filled_up, trials))
        self._next = (self._next + count) % self.capacity
        self.num = min(self.num + count, self.capacity)

    def sample(self, num: int) -> Tree:
        """Draw `num` trials with replacement: `[length, num, ...]`."""
        rows = torch.randint(self.num, (num,))
        times = torch.arange(self.length, device=rows.device).unsqueeze(1)
        places = (rows * self.length + times).flatten()  # of steps in the ring, time by time

        # Whole steps are copied, once and in their order; an index would copy byte by byte.
        def gather(x: Tensor) -> Tensor:
            steps = x.flatten(0, 1).index_select(0, places.to(x.device))
            return steps.unflatten(0, (self.length, num))

        return tree.tree_map(gather, self._stored)

    def full_bytes(self, step_bytes: int) -> int:
        """Memory of so many trials, if a step of one takes `step_bytes`."""
        return step_bytes * self.capacity * self.length

    def mark(self) -> None:
        """Note where the ring stands."""
        self._undo.clear()
        self._marked = (self.num, self._next)

    def rollback(self) -> None:
        """Take out what was added since the last mark and put back what it wrote over."""
        self.num, self._next = self._marked
        self._undo.restore(self._stored)

    def state_dict(self) -> dict[str, Any]:
        """Return all stored trials; on the CPU they share memory with the buffer."""
        stored = self._loaded
        if stored is None and self._stored is not None:
            stored = tree.plain(tree.tree_map(self._filled, self._stored))
        return {"num": self.num, "next": self._next, "stored": stored or {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.num, self._next = state["num"], state["next"]
        self._stored, self._loaded = None, state["stored"] or None
        self.mark()

    def _filled(self, x: Tensor) -> Tensor:
        # Not a slice, which would be saved with all the rest.
        return torch.from_numpy(x.cpu().numpy()[: self.num])

    def _require_room(self, trials: Tree) -> None:
        if self._stored is not None:
            return
        size = sum(x[0, 0].numel() * x.element_size() for x in tree.leaves(trials))
        if (needed := size * self.length * self.capacity) > MOST_BYTES:
            raise UserError(
                f"buffer_trials: {self.capacity} trials of this environment take "
                f"{needed / 1e9:.1f} GB, expected at most {MOST_BYTES / 1e9:.0f}; choose fewer"
            )
