"""Whole episodes from their first observation to their last one, none of them kept twice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.types import TimeStep, Trajectory


def as_sequence(episode: Trajectory) -> TimeStep:
    """Return the T + 1 steps `[T + 1, B]` of one episode `[T, B]`, the last only looked at.

    Actions and rewards are what the next step remembers as previous. `active` is 1 where the
    episode goes on, so the zeros that a buffer appends belong to no episode.
    """
    step = episode.step
    return TimeStep(
        obs=tree.tree_map(_append_last, step.obs, episode.next_obs),
        prev_action=torch.cat([step.prev_action[:1], episode.action]),
        prev_reward=torch.cat([step.prev_reward[:1], episode.reward]),
        first=torch.cat([step.first, torch.zeros_like(step.first[:1])]),
        active=torch.cat([step.active, torch.zeros_like(step.active[:1])]),
        task=_append_last(step.task, step.task),
    )


@dataclass
class Episodes:
    """A view of sequences: what was seen, and what was done about it."""

    step: TimeStep  # [T + 1, B], active from the first observation to the last
    action: Tensor  # [T, B, ...]
    reward: Tensor  # [T, B]
    acted: Tensor  # [T, B], 1 where the action was taken

    @property
    def end(self) -> Tensor:
        """Index of the last observation of each, `[B]`."""
        return self.step.active.sum(0).long() - 1


def episodes_of(sequence: TimeStep) -> Episodes:
    """Return the episodes of sequences `[T + 1, B]`."""
    acted = sequence.active[:-1]
    return Episodes(
        step=replace(sequence, active=torch.cat([torch.ones_like(acted[:1]), acted])),
        action=sequence.prev_action[1:],
        reward=sequence.prev_reward[1:],
        acted=acted,
    )


def _append_last(x: Tensor, of: Tensor) -> Tensor:
    return torch.cat([x, of[-1:]])
