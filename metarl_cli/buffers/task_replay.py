"""Transitions of many tasks, kept apart, for learning from them many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl_cli.core.checks import require_positive

Transitions = dict[str, Tensor]  # by name, `[..., width]` each


class TaskReplay:
    """One ring of at most `capacity` transitions for each task.

    A transition is one row of numbers in a tensor `[num_tasks, capacity, width]`, so that sampling
    is a single gather whatever is stored. The tensor is allocated by the first transition, 4 bytes
    a number; the operating system gives the memory page by page as rings fill up.

    Args:
        num_tasks: number of rings.
        capacity: of each; the oldest transitions make room.
        widths: how many numbers each part of a transition has.
    """

    def __init__(self, num_tasks: int, capacity: int, widths: Mapping[str, int]) -> None:
        require_positive(num_tasks=num_tasks, capacity=capacity)
        self.num_tasks, self.capacity, self.widths = num_tasks, capacity, dict(widths)
        self.counts = torch.zeros(num_tasks, dtype=torch.long)  # transitions in each ring
        self._next = torch.zeros(num_tasks, dtype=torch.long)
        self._rows = torch.empty(0)  # [num_tasks, capacity, width]

    def add(self, task: Tensor, transitions: Transitions) -> None:
        """Store transitions `[M, width]` of the tasks `[M]`, earlier ones first."""
        rows = torch.cat([transitions[name] for name in self.widths], -1)
        if not self._rows.numel():
            self._rows = self._empty(rows)
        order = torch.argsort(task, stable=True)
        task, rows = task[order].to(self.counts.device), rows[order]
        added = torch.bincount(task, minlength=self.num_tasks)
        rank = torch.arange(len(task)) - (added.cumsum(0) - added)[task]  # within its task
        newest = rank >= (added - self.capacity)[task]  # the others would be written over at once
        slot = (self._next[task] + rank) % self.capacity
        where = (task[newest].to(rows.device), slot[newest].to(rows.device))
        self._rows[where] = rows[newest.to(rows.device)]
        self._next = (self._next + added) % self.capacity
        self.counts = (self.counts + added).clamp(max=self.capacity)

    def sample(self, task: Tensor, num: int) -> Transitions:
        """Draw `num` transitions of each task `[N]` with replacement: `[N, num, width]`."""
        column = (torch.rand(len(task), num) * self.counts[task, None]).long()
        device = self._rows.device
        rows = self._rows[task.to(device).unsqueeze(1), column.to(device)]
        return dict(zip(self.widths, rows.split(list(self.widths.values()), -1), strict=True))

    def clear(self, task: Tensor) -> None:
        """Forget the transitions of tasks `[N]`."""
        self.counts[task] = 0
        self._next[task] = 0

    @property
    def nbytes(self) -> int:
        """Memory of the transitions stored so far."""
        return 4 * int(self.counts.sum()) * sum(self.widths.values())

    def state_dict(self) -> dict[str, Any]:
        """Return all stored transitions."""
        filled = int(self.counts.max())
        rows = self._rows[:, :filled].clone() if filled else self._rows
        return {"counts": self.counts.clone(), "next": self._next.clone(), "rows": rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.counts, self._next = state["counts"].clone(), state["next"].clone()
        saved = state["rows"]
        self._rows = self._empty(saved) if saved.numel() else saved
        if saved.numel():
            self._rows[:, : saved.shape[1]] = saved

    def _empty(self, like: Tensor) -> Tensor:
        shape = (self.num_tasks, self.capacity, sum(self.widths.values()))
        if like.device.type == "cpu":
            return torch.from_numpy(np.zeros(shape, np.float32))  # touches no memory, torch's does
        return like.new_zeros(shape)
