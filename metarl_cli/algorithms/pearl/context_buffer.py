"""The transitions that contexts are drawn from: those of the latest visits to each task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metarl_cli.buffers.transitions import TaskReplay


class ContextBuffer:
    """Keeps, of each task, what was seen since the beginning of one of its latest visits.

    A visit may be short, where episodes end early: what counts is visits, not transitions. The
    authors keep one, so that contexts are of the present policy.

    Args:
        num_tasks: number of tasks.
        visits: how many of the latest are kept.
        visit_steps: transitions of the longest visit.
        width: numbers of a transition.
    """

    def __init__(self, num_tasks: int, visits: int, visit_steps: int, width: int) -> None:
        self.transitions = TaskReplay(num_tasks, visits * visit_steps, {"transition": width})
        self.lengths = torch.zeros(
            num_tasks, visits, dtype=torch.long, device="cpu"
        )  # latest first
        self.mark()

    @property
    def counts(self) -> Tensor:
        """Transitions of each task `[num_tasks]`."""
        return self.transitions.counts

    def begin_visit(self, tasks: Tensor) -> None:
        """Make room for a new visit to the tasks `[N]`."""
        lengths = self.lengths.clone()
        lengths[tasks] = lengths[tasks].roll(1, -1)
        lengths[tasks, 0] = 0
        for task in tasks.unique().tolist():
            self.transitions.keep_latest(task, int(lengths[task].sum()))
        self.lengths = lengths

    def add(self, task: Tensor, transitions: Tensor) -> None:
        """Add transitions `[M, width]` to the present visits to the tasks `[M]`."""
        self.transitions.add(task, {"transition": transitions})
        added = torch.bincount(task.cpu(), minlength=len(self.lengths))
        self.lengths = torch.cat([self.lengths[:, :1] + added[:, None], self.lengths[:, 1:]], 1)

    def sample(self, task: Tensor, num: int) -> Tensor:
        """Draw `num` transitions of each task `[N]` with replacement: `[N, num, width]`."""
        return self.transitions.sample(task, num)["transition"]

    @property
    def nbytes(self) -> int:
        """Memory of the transitions stored so far."""
        return self.transitions.nbytes

    def full_bytes(self, step_bytes: int) -> int:
        """Memory of all rings once they are full."""
        return self.transitions.full_bytes(step_bytes)

    def mark(self) -> None:
        """Note where it stands."""
        self.transitions.mark()
        self._marked = self.lengths

    def rollback(self) -> None:
        """Return to the last mark."""
        self.transitions.rollback()
        self.lengths = self._marked

    def state_dict(self) -> dict[str, Any]:
        """Return all transitions, and how many belong to which visit."""
        return self.transitions.state_dict() | {"lengths": self.lengths}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; what was published without experience has none."""
        self.transitions.load_state_dict(state)
        if not state:
            return
        # Before lengths were saved, all that was kept counts as one visit.
        lengths = state.get("lengths", state["counts"].unsqueeze(-1))
        self.lengths = torch.zeros_like(self.lengths)
        self.lengths[:, : lengths.shape[1]] = lengths
        self.mark()
