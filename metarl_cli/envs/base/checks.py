"""What comes from outside, made sure of before it is used: tasks, seeds, rows, actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from metarl_cli.core.errors import NonFiniteError


def given_tasks(
    task: np.ndarray, shape: tuple[int, ...], names: Sequence[str], finite: Box | None
) -> np.ndarray:
    """Return a task `[D]` or tasks `[B, D]` as float64 of `shape` `[B, D]`.

    In a `finite` family, numbers outside its task space mean nothing and are refused.
    """
    tasks = np.asarray(task, np.float64)
    if tasks.shape not in (shape, shape[1:]):
        raise ValueError(f"task: got shape {tasks.shape}, expected {shape} or {shape[1:]}")
    if not np.isfinite(tasks).all():
        raise ValueError(f"task: got {tasks.tolist()}, expected finite numbers")
    tasks = np.broadcast_to(tasks, shape)
    if finite is None:
        return tasks
    outside = np.argwhere((tasks < finite.low) | (tasks > finite.high))
    if len(outside):
        row, part = outside[0]
        raise ValueError(
            f"task: got {names[part]} = {tasks[row, part]:g}, "
            f"expected {finite.low[part]:g} to {finite.high[part]:g}"
        )
    return tasks


def row_seeds(seed: int | Sequence[int] | np.ndarray, num: int) -> np.ndarray:
    """Return one seed per row, uint64 `[num]`: s, s + 1, ... for an integer s."""
    first = range(int(seed), int(seed) + num) if isinstance(seed, int | np.integer) else seed
    seeds = [int(value) for value in first]
    if len(seeds) != num or min(seeds) < 0:
        raise ValueError(f"seed: got {seed}, expected an integer >= 0 or {num} of them")
    return np.asarray(seeds, np.uint64)


def chosen_rows(mask: np.ndarray | None, num: int) -> np.ndarray:
    """Return the row numbers that a bool mask `[num]` names; None names all."""
    if mask is None:
        return np.arange(num)
    mask = np.asarray(mask)
    if mask.shape != (num,) or mask.dtype != bool:
        raise ValueError(
            f"reset_mask: got shape {mask.shape} of {mask.dtype}, expected shape ({num},) of bool"
        )
    return np.flatnonzero(mask)


def legal_actions(actions: np.ndarray, space: Space[Any], num: int) -> np.ndarray:
    """Return actions that `num` environments can carry out.

    Continuous ones `[num, A]` are clipped to the bounds of `space`, as float64; discrete ones
    `[num]` must be legal.
    """
    actions = np.asarray(actions)
    if actions.shape != (num, *(space.shape or ())):
        raise ValueError(
            f"actions: got shape {actions.shape}, expected {(num, *(space.shape or ()))}"
        )
    if isinstance(space, Discrete):
        if actions.dtype.kind not in "iu" or actions.min() < 0 or actions.max() >= space.n:
            raise ValueError(f"actions: got {actions}, expected integers from 0 to {space.n - 1}")
        return actions
    assert isinstance(space, Box)
    actions = actions.astype(np.float64)
    finite = np.isfinite(actions.sum()) or np.isfinite(actions).all()  # the sum is quick
    if not finite:
        row = int(np.flatnonzero(~np.isfinite(actions).all(axis=1))[0])
        raise NonFiniteError(f"non-finite action in environment {row}: {actions[row]}")
    np.maximum(actions, space.low, out=actions)
    return np.minimum(actions, space.high, out=actions)
