"""The values that environments, agents and learners exchange.

Shape letters used everywhere: `T` steps, `N` tasks, `E` environments per task, `B = N * E`
(task-major), `A` action size, `D` task size. Time comes first: `[T, B, ...]`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space
from torch import Tensor

from metarl_cli.core import tree

Observation = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class EnvSpec:
    """What an algorithm must know of an environment to build its networks."""

    observation: Space[Any]
    action: Space[Any]  # Box or Discrete
    task: Box  # bounds of the hidden task parameters
    horizon: int  # steps per episode
    all_tasks: np.ndarray | None = None  # [num, D], where there are finitely many


@dataclass(frozen=True)
class Tasks:
    """A batch of tasks: each is one Markov decision process of the family."""

    params: Tensor  # [N, D], understood by the environment
    index: Tensor  # [N], row in the finite training set, -1 if drawn fresh

    @property
    def num(self) -> int:
        """Number of tasks N."""
        return self.params.shape[0]


@dataclass
class StepResult:
    """What a simulation's step gave, `[B]` each, on the simulation's device."""

    obs: Observation
    reward: Tensor  # float32
    terminated: Tensor  # bool: a terminal state of the task, not a time limit
    truncated: Tensor  # bool: the episode was cut at the horizon, or because it blew up
    info: dict[str, Tensor]  # under each of `info_keys`; "unstable" says what blew up


@dataclass
class TimeStep:
    """All that an agent may look at: `[B]` when acting, `[T, B]` when learning."""

    obs: Observation
    prev_action: Tensor  # survives episode boundaries inside a trial
    prev_reward: Tensor  # likewise; both are zero at the first step of a trial
    first: Tensor  # 1 at the first step of an episode
    active: Tensor  # 0 after this environment has ended its episode
    task: Tensor  # [..., D] privileged: only oracles and task-supervised methods read it


@dataclass
class Output:
    """What an agent returns for one step."""

    action: Tensor  # [B, A] or [B]
    state: Any
    extras: dict[str, Tensor] = field(default_factory=dict)  # recorded into the trajectory


@dataclass
class Trajectory:
    """Recorded interaction, `[T, B, ...]`; with several episodes, T is their total length."""

    step: TimeStep
    action: Tensor
    reward: Tensor
    next_obs: Observation  # true successor, never the observation after a reset
    terminated: Tensor  # 1 = no bootstrap; truncation is not termination
    extras: dict[str, Tensor] = field(default_factory=dict)

    @property
    def episode_return(self) -> Tensor:
        """Undiscounted return summed over time: `[B]`."""
        return self.reward.sum(0)

    def episodes(self) -> list[Trajectory]:
        """Take it apart where episodes begin, which all environments do at once.

        The first piece may be the rest of an episode that began before.
        """
        starts = sorted({0, *self.step.first[:, 0].nonzero().flatten().tolist()})
        ends = [*starts[1:], len(self.reward)]
        return [
            tree.index(self, slice(start, end)) for start, end in zip(starts, ends, strict=True)
        ]
