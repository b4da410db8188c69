"""Which tasks are for meta-training and which are held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch

from metarl_cli.core.types import Tasks


class TaskFamily(Protocol):
    """The part of an environment that knows its tasks."""

    all_tasks: np.ndarray | None
    test_tasks: np.ndarray | None

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw tasks `[num, D]`."""


@dataclass(frozen=True)
class TaskSplit:
    """Training, validation and held-out tasks of a family.

    Held-out tasks are fixed by `test_seed` and never met in training, unless the family has so few
    tasks (`all_tasks`, for instance two directions) that training and testing share them.
    Validation tasks choose the best checkpoint; they are held out from training in the same way.
    """

    family: TaskFamily
    mode: Literal["fresh", "finite"]
    num_train: int
    train_seed: int
    num_test: int
    test_seed: int

    def fixed(self, stream: Literal["validation", "test"]) -> Tasks:
        """Return the same `num_test` tasks at every call."""
        rng = np.random.default_rng([self.test_seed, ("test", "validation").index(stream)])
        pool = self.family.test_tasks if stream == "test" else None
        pool = self._trainable if pool is None else pool
        if pool is None:
            return as_tasks(self.family.sample_tasks(self.num_test, rng))
        if self.num_test >= len(pool):
            return as_tasks(np.resize(pool, (self.num_test, pool.shape[1])))
        return as_tasks(pool[np.sort(rng.choice(len(pool), self.num_test, replace=False))])

    def train(self, num: int, rng: np.random.Generator) -> Tasks:
        """Draw `num` training tasks: fresh ones, or rows of the finite training set."""
        if self.mode == "fresh":
            return as_tasks(self._draw(num, rng))
        index = rng.choice(self.num_train, num, replace=num > self.num_train)
        return as_tasks(self.training_set[index], index)

    @cached_property
    def training_set(self) -> np.ndarray:
        """The finite training set `[num_train, D]`."""
        return self._draw(self.num_train, np.random.default_rng(self.train_seed))

    @cached_property
    def _held_out(self) -> np.ndarray:
        return torch.cat([self.fixed("test").params, self.fixed("validation").params]).numpy()

    @cached_property
    def _trainable(self) -> np.ndarray | None:
        """All training tasks of a family that has finitely many."""
        tasks, held_out = self.family.all_tasks, self.family.test_tasks
        return tasks if tasks is None or held_out is None else tasks[~_rows_in(tasks, held_out)]

    def _draw(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw tasks, replacing any that equals a held-out one."""
        if self._trainable is not None and self.family.test_tasks is not None:
            return self._trainable[rng.integers(len(self._trainable), size=num)]
        params = self.family.sample_tasks(num, rng)
        if self._trainable is not None:
            return params
        while (clash := _rows_in(params, self._held_out)).any():
            params[clash] = self.family.sample_tasks(int(clash.sum()), rng)
        return params


def as_tasks(params: np.ndarray, index: np.ndarray | None = None) -> Tasks:
    """Wrap task parameters `[N, D]`; without an index they count as drawn fresh (-1)."""
    rows = np.full(len(params), -1) if index is None else index
    return Tasks(torch.as_tensor(params.copy()), torch.as_tensor(rows))


def _rows_in(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return (rows[:, None] == others[None]).all(-1).any(-1)
