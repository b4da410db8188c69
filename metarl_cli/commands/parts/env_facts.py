"""What an environment says of itself, in words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Space

from metarl_cli.envs.base.family import TaskFamily

_MOST_NUMBERS = 2  # task parameters that fit in a caption
_MOST_NAMES = 6  # task parameters named one by one; of more, only the first and the last are


def env_facts(family: TaskFamily, tasks: Mapping[str, Any]) -> dict[str, str]:
    """Return spaces, hidden task, task sets, horizon, info and anchors, one line each.

    Args:
        family: of its tasks.
        tasks: its `tasks` section: mode, num_train, num_test.
    """
    facts = {
        "observation": _space(family.observation_space),
        "action": _space(family.action_space),
        "hidden task": hidden_task(family),
        "tasks": _task_sets(family, tasks),
        "horizon": f"{family.horizon} steps",
        "info": ", ".join(family.info_keys),
    }
    anchors = family.anchors()
    if anchors:
        facts["mean return"] = "; ".join(
            f"{policy} {_per_episode(returns)}" for policy, returns in anchors.items()
        )
    return facts | family.facts()


def hidden_task(family: TaskFamily) -> str:
    """Name the parameters of a task with their bounds."""
    return _parameters(family.task_names, family.task_space)


def task_in_words(names: Sequence[str], task: np.ndarray) -> str:
    """Name the parameters of a task `[D]` if they are few."""
    if len(names) > _MOST_NUMBERS:
        return f"{len(names)} task parameters"
    return ", ".join(
        f"{name} {round(value, 3) + 0.0:.2g}" for name, value in zip(names, task, strict=True)
    )


def _space(space: Space[Any]) -> str:
    if isinstance(space, Dict):
        return "; ".join(f"{key}: {_space(part)}" for key, part in space.spaces.items())
    if not isinstance(space, Box):
        return str(space)
    return f"{space.dtype} {space.shape} from {space.low.min():g} to {space.high.max():g}"


def _parameters(names: Sequence[str], space: Box) -> str:
    """Name the parameters of a task with their bounds, neighbours of equal bounds together."""
    bounds = list(zip(space.low.tolist(), space.high.tolist(), strict=True))
    parts = []
    for (low, high), group in itertools.groupby(range(len(names)), key=bounds.__getitem__):
        same = [names[index] for index in group]
        if len(same) > _MOST_NAMES:
            same = [f"{same[0]} ... {same[-1]} ({len(same)})"]
        parts.append(f"{', '.join(same)} in [{low:g}, {high:g}]")
    return "; ".join(parts)


def _task_sets(family: TaskFamily, tasks: Mapping[str, Any]) -> str:
    """Say which tasks are for training and which for testing."""
    fixed = "" if tasks["mode"] == "fresh" else f"{tasks['num_train']} fixed ones of "
    if family.all_tasks is None:
        training = fixed or "fresh ones of "
        return f"training: {training}infinitely many; testing: {tasks['num_test']} others"
    total = len(family.all_tasks)
    if family.test_tasks is None:
        return f"training: {fixed}all {total}; testing: {tasks['num_test']} of the same"
    held_out = len(family.test_tasks)
    return f"training: {fixed}{total - held_out}; testing: {tasks['num_test']} of {held_out} others"


def _per_episode(returns: Sequence[float]) -> str:
    """Return the mean returns of episodes 1, 2, ...: `4.00 > 11.07`."""
    return " > ".join(f"{value:.2f}" for value in returns)
