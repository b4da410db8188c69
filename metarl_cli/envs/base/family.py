"""The base class of all environments: a family of tasks, before anything is simulated.

Letters: `B` environments, `D` task size, `O` observation size, `A` action size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space

from metarl_cli.core.checks import require_positive
from metarl_cli.core.protocols import Simulation
from metarl_cli.core.types import EnvSpec


class TaskFamily(ABC):
    """Tasks (MDPs) that differ in hidden parameters, and where their simulations come from.

    Building one costs next to nothing: no physics, no array of the size of a batch. Subclasses say
    how uniform numbers become tasks (`tasks_from_uniform`) and what simulates them (`simulate`).
    Most are `NumpyFamily`; one whose physics runs on a GPU derives from this class and stays there.
    """

    info_keys: tuple[str, ...] = ("unstable",)  # keys of info in every step, [B] each
    all_tasks: np.ndarray | None = None  # [num, D], where the family has finitely many tasks
    test_tasks: np.ndarray | None = None  # [num, D], those of all_tasks never to be trained on
    start_shows_task = False  # whether the first observation depends on the task

    def __init__(
        self,
        *,
        observation_space: Space[Any],
        action_space: Box | Discrete,
        task_space: Box,
        task_names: tuple[str, ...],
        horizon: int,
    ) -> None:
        require_positive(horizon=horizon)
        self.observation_space, self.action_space = observation_space, action_space
        self.task_space, self.task_names = task_space, task_names
        self.horizon = horizon

    @property
    def spec(self) -> EnvSpec:
        """What an algorithm must know to build its networks."""
        spaces = (self.observation_space, self.action_space, self.task_space)
        return EnvSpec(*spaces, self.horizon, self.all_tasks)

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `[num, D]` float64 tasks of the family, none of them in `test_tasks`."""
        return self.tasks_from_uniform(rng.random((num, len(self.task_names))))

    @abstractmethod
    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` numbers from U[0, 1) to tasks `[num, D]` of the family."""

    @abstractmethod
    def simulate(
        self, num_envs: int, *, device: torch.device | str = "cpu", threads: int = 1
    ) -> Simulation:
        """Return `num_envs` environments whose episodes are stepped together.

        Args:
            num_envs: B.
            device: of all tensors that go in and come out.
            threads: of physics and pictures, 0 for all CPUs; results do not depend on it.
        """

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return what is known exactly: the mean undiscounted return of named policies.

        One number per episode of a trial; the last one stands for all later episodes.
        """
        return {}

    def facts(self) -> dict[str, str]:
        """Return what else is known of the family, in words, by what it is about."""
        return {}
