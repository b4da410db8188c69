"""The latest whole trials, for learning from them more than once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from metarl_cli.buffers.undo import UndoLog, put
from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import TimeStep, Trajectory

MOST_BYTES = 2_000_000_000  # beside it stand the copies that checkpoints are made of

Record = dict[str, Any]  # tensors `[T, B, ...]` by name; a Dict observation is a dict of them
_STEP = tuple(field.name for field in fields(TimeStep))


def as_record(trials: Trajectory) -> Record:
    """Return what a buffer keeps of trials: all but what algorithms noted beside."""
    return vars(trials.step) | {
        "action": trials.action,
        "reward": trials.reward,
        "next_obs": trials.next_obs,
    }


def steps_of(record: Record) -> TimeStep:
    """Return the steps of a record as an agent sees them."""
    return TimeStep(**{name: record[name] for name in _STEP})


class TrialBuffer:
    """A ring of at most `capacity` trials.

    Args:
        capacity: number of trials kept; the oldest make room.
        length: T, steps of the longest trial; shorter ones are filled up with zeros.
    """

    def __init__(self, capacity: int, length: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: got {capacity}, expected at least 1")
        self.capacity, self.length = capacity, length
        self.num = self._next = 0
        self._stored: Record = {}  # [capacity, length, ...], allocated by the first trial
        self._undo = UndoLog()
        self.mark()

    def add(self, trials: Record) -> None:
        """Store trials `[T, B, ...]`, always of the same names and sizes."""

        def allocate(x: Tensor) -> Tensor:
            return x.new_zeros(self.capacity, self.length, *x.shape[2:])

        def filled_up(x: Tensor) -> Tensor:
            newest = x[:, -self.capacity :].transpose(0, 1)
            out = newest.new_zeros(len(newest), self.length, *newest.shape[2:])
            out[:, : newest.shape[1]] = newest
            return out

        if not self._stored:
            self._require_room(trials)
            self._stored = tree.tree_map(allocate, trials)
        first = _leaves(trials)[0]
        self._stored = tree.tree_map(
            lambda x: x.to(first.device), self._stored
        )  # loaded: on the CPU
        count = min(first.shape[1], self.capacity)
        rows = (self._next + torch.arange(count, device=first.device)) % self.capacity
        self._undo.keep(self._stored, rows)
        put(self._stored, rows, tree.tree_map(filled_up, trials))
        self._next = (self._next + count) % self.capacity
        self.num = min(self.num + count, self.capacity)

    def _require_room(self, trials: Record) -> None:
        size = sum(x[0, 0].numel() * x.element_size() for x in _leaves(trials))
        if (needed := size * self.length * self.capacity) > MOST_BYTES:
            raise UserError(
                f"buffer_trials: {self.capacity} trials of this environment take "
                f"{needed / 1e9:.1f} GB, expected at most {MOST_BYTES / 1e9:.0f}; choose fewer"
            )

    def sample(self, num: int) -> Record:
        """Draw `num` trials with replacement: `[length, num, ...]`."""
        rows = torch.randint(self.num, (num,))
        return tree.tree_map(lambda x: x[rows.to(x.device)].transpose(0, 1), self._stored)

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

        def filled(x: Tensor) -> Tensor:  # not a slice, which would be saved with all the rest
            return torch.from_numpy(x.cpu().numpy()[: self.num])

        stored = tree.tree_map(filled, self._stored)
        return {"num": self.num, "next": self._next, "stored": stored}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""

        def whole(saved: Tensor) -> Tensor:
            x = saved.new_zeros(self.capacity, *saved.shape[1:])
            x[: len(saved)] = saved
            return x

        self.num, self._next = state["num"], state["next"]
        self._stored = tree.tree_map(whole, state["stored"])
        self.mark()


def _leaves(record: Record) -> list[Tensor]:
    leaves: list[Tensor] = []
    tree.tree_map(leaves.append, record)
    return leaves
