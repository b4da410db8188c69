"""Which tasks are for meta-training and which are held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch

from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Split
from metarl_cli.core.types import Tasks


class TaskSource(Protocol):
    """The part of a family (`envs.base.family.TaskFamily`) that a split uses."""

    all_tasks: np.ndarray | None
    test_tasks: np.ndarray | None

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw tasks `[num, D]`, none of them in `test_tasks`."""


@dataclass(frozen=True)
class TaskSplit:
    """Training, validation and held-out tasks of a family.

    Families with infinitely many tasks: test and validation tasks are fixed by `test_seed`, differ
    from each other and are never met in training. Families with so few tasks that all are for
    training (`all_tasks`, for instance two directions): they serve for all three. Families whose
    authors say which tasks are for testing (`test_tasks`): validation takes training tasks.
    Validation tasks choose the checkpoint that is tested.

    Raises:
        UserError: more tasks are asked for than there are.
    """

    family: TaskSource
    mode: Literal["fresh", "finite"]
    num_train: int
    train_seed: int
    num_test: int
    test_seed: int
    num_validation: int | None = None  # None: as many as for testing

    def __post_init__(self) -> None:
        trainable, held_out = self._trainable, self.family.test_tasks
        sizes = {
            "num_test": (self.num_test, trainable if held_out is None else held_out),
            "num_train": (self.num_train, trainable if self.mode == "finite" else None),
            "num_validation": (self.num("validation"), trainable),
        }
        for name, (wanted, pool) in sizes.items():
            if pool is not None and wanted > len(pool):
                raise UserError(f"env.tasks.{name}: got {wanted}, but there are only {len(pool)}")

    def num(self, split: Split) -> int:
        """Return how many tasks `fixed` gives."""
        return (self.num_validation if split == "validation" else None) or self.num_test

    def fixed(self, stream: Literal["validation", "test"]) -> Tasks:
        """Return the same tasks at every call."""
        rng = np.random.default_rng([self.test_seed, ("test", "validation").index(stream)])
        pool = self.family.test_tasks if stream == "test" else None
        pool = self._trainable if pool is None else pool
        if pool is None:
            return as_tasks(self.family.sample_tasks(self.num(stream), rng))
        return as_tasks(_some_rows(pool, self.num(stream), rng))

    @property
    def same_tasks(self) -> bool:
        """Whether test tasks are trained on, too: where a family has too few to hold any out."""
        if self._trainable is None or self.family.test_tasks is not None:
            return False
        trained = self._trainable if self.mode == "fresh" else self.training_set
        return bool(_rows_in(self.fixed("test").params.numpy(), trained).any())

    def train(self, num: int, rng: np.random.Generator) -> Tasks:
        """Draw `num` training tasks: fresh ones, or rows of the finite training set."""
        if self.mode == "fresh":
            return as_tasks(self._draw(num, rng))
        index = rng.choice(self.num_train, num, replace=num > self.num_train)
        return as_tasks(self.training_set[index], index)

    @cached_property
    def training_set(self) -> np.ndarray:
        """The finite training set `[num_train, D]`."""
        rng = np.random.default_rng(self.train_seed)
        if self._trainable is not None:
            return _some_rows(self._trainable, self.num_train, rng)
        return self._draw(self.num_train, rng)

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


def _some_rows(pool: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Choose different rows of a pool, in its order."""
    return pool[np.sort(rng.choice(len(pool), num, replace=False))]


def _rows_in(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return (rows[:, None] == others[None]).all(-1).any(-1)
