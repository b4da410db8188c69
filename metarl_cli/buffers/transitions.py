"""Transitions of many tasks, kept apart, for learning from them many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl_cli.core.checks import require_positive
from metarl_cli.core.undo import UndoLog

FLOAT_BYTES = 4

Transitions = dict[str, Tensor]  # by name, `[..., width]` each


class TaskReplay:
    """One ring of at most `capacity` transitions for each task.

    A transition is one row of numbers in a tensor `[num_tasks, capacity, width]`, so that sampling
    is a single gather whatever is stored. The tensor is allocated by the first transition, on its
    device, 4 bytes a number; main memory is taken page by page as rings fill up.

    Args:
        num_tasks: number of rings.
        capacity: of each; the oldest transitions make room.
        widths: how many numbers each part of a transition has.
    """

    def __init__(self, num_tasks: int, capacity: int, widths: Mapping[str, int]) -> None:
        require_positive(num_tasks=num_tasks, capacity=capacity)
        self.num_tasks, self.capacity, self.widths = num_tasks, capacity, dict(widths)
        self.counts = torch.zeros(num_tasks, dtype=torch.long, device="cpu")  # in each ring
        self._next = torch.zeros_like(self.counts)
        self._rows = torch.empty(0, device="cpu")  # [num_tasks, capacity, width]
        self._undo = UndoLog()
        self.mark()

    def add(self, task: Tensor, transitions: Transitions) -> None:
        """Store transitions `[M, width]` of the tasks `[M]`, earlier ones first."""
        rows = torch.cat([transitions[name] for name in self.widths], -1)
        task = task.cpu()
        added = torch.bincount(task, minlength=self.num_tasks)
        order = torch.argsort(task, stable=True)
        rank = torch.empty_like(task)  # of each among those of its task
        rank[order] = _count_up(added)
        newest = rank >= (added - self.capacity)[task]  # the others would be written over at once
        slot = (self._next[task] + rank) % self.capacity
        self._write(task[newest], slot[newest], rows[newest.to(rows.device)])
        self._next = (self._next + added) % self.capacity
        self.counts = (self.counts + added).clamp(max=self.capacity)

    def sample(self, task: Tensor, num: int) -> Transitions:
        """Draw `num` transitions of each task `[N]` with replacement: `[N, num, width]`."""
        task = task.cpu()
        slot = (torch.rand(len(task), num, device="cpu") * self.counts[task, None]).long()
        device = self._rows.device
        rows = self._rows[task.to(device).unsqueeze(1), slot.to(device)]
        return dict(zip(self.widths, rows.split(list(self.widths.values()), -1), strict=True))

    @property
    def nbytes(self) -> int:
        """Memory of the transitions stored so far."""
        return FLOAT_BYTES * int(self.counts.sum()) * sum(self.widths.values())

    def full_bytes(self, step_bytes: int) -> int:
        """Memory of all rings once they are full; what a transition has is known here."""
        return FLOAT_BYTES * self.num_tasks * self.capacity * sum(self.widths.values())

    def keep_latest(self, task: int, num: int) -> None:
        """Forget all but the latest `num` transitions of a task."""
        count = int(self.counts[task])
        num = min(num, count)
        counts, following = self.counts.clone(), self._next.clone()
        counts[task], following[task] = num, num % self.capacity
        if 0 < num < count:
            slots = (self._next[task] - num + torch.arange(num, device="cpu")) % self.capacity
            latest = self._rows[task, slots.to(self._rows.device)]
            rows = torch.arange(num, device="cpu")
            self._write(torch.full_like(rows, task), rows, latest)
        self.counts, self._next = counts, following

    def mark(self) -> None:
        """Note where the rings stand."""
        self._undo.clear()
        self._marked = (self.counts, self._next)

    def rollback(self) -> None:
        """Take out what was added since the last mark and put back what it wrote over."""
        self.counts, self._next = self._marked
        self._undo.restore(self._rows)

    def state_dict(self) -> dict[str, Any]:
        """Return all stored transitions, one tensor `[count, width]` for each ring.

        On the CPU they share memory with the replay.
        """
        rings = self._rows.cpu().numpy() if self._rows.numel() else np.zeros(0)
        filled = [ring[:num] for ring, num in zip(rings, self.counts.tolist(), strict=False)]
        return {
            "capacity": self.capacity,
            "counts": self.counts,
            "next": self._next,
            # Not slices of one tensor, which would be saved with all that is not filled.
            "rings": [torch.from_numpy(ring) for ring in filled],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; what was published without experience has none."""
        if not state:
            return
        if (saved := state["capacity"]) != self.capacity:
            raise ValueError(
                f"capacity of the replay: got {self.capacity}, it was saved with {saved}"
            )
        self.counts, self._next = state["counts"].clone(), state["next"].clone()
        for task, ring in enumerate(state["rings"]):
            self._allocate(ring)
            self._rows[task, : len(ring)] = ring
        self.mark()

    def _write(self, task: Tensor, slot: Tensor, rows: Tensor) -> None:
        self._allocate(rows)
        self._rows = self._rows.to(rows.device)  # a loaded replay comes from the CPU
        place = (task.to(rows.device), slot.to(rows.device))
        self._undo.keep(self._rows, place)
        self._rows[place] = rows

    def _allocate(self, rows: Tensor) -> None:
        """Make room for transitions like these `[..., width]`, unless there is."""
        if self._rows.numel():
            return
        shape = (self.num_tasks, self.capacity, rows.shape[-1])
        # NumPy's zeros take no memory before they are written to, torch's do.
        if rows.device.type == "cpu":
            self._rows = torch.from_numpy(np.zeros(shape, np.float32))
        else:
            self._rows = rows.new_zeros(shape)


def _count_up(counts: Tensor) -> Tensor:
    """0, 1, ... up to each of the counts in turn: `[counts.sum()]`."""
    starts = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum()), device="cpu") - starts.repeat_interleave(counts)
