"""Whole episodes as buffers keep them: T + 1 steps, of which the last is only looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.buffers.trials import Record, steps_of
from metarl_cli.core import tree
from metarl_cli.core.types import TimeStep, Trajectory


@dataclass
class Episodes:
    """Episodes from their first observation to their last one."""

    step: TimeStep  # [T + 1, B], active from the first observation to the last
    action: Tensor  # [T, B, ...]
    reward: Tensor  # [T, B]
    acted: Tensor  # [T, B], 1 where the action was taken

    @property
    def end(self) -> Tensor:
        """Index of the last observation of each, `[B]`."""
        return self.step.active.sum(0).long() - 1


def as_episode_record(episode: Trajectory) -> Record:
    """Return what a buffer keeps of one episode `[T, B]`: no observation is kept twice.

    Actions and rewards are what the next step remembers as previous. `active` is 1 where the
    episode goes on, so the zeros that a buffer appends belong to no episode.
    """
    step = episode.step
    return {
        "obs": tree.tree_map(_append_last, step.obs, episode.next_obs),
        "prev_action": torch.cat([step.prev_action[:1], episode.action]),
        "prev_reward": torch.cat([step.prev_reward[:1], episode.reward]),
        "first": torch.cat([step.first, torch.zeros_like(step.first[:1])]),
        "active": torch.cat([step.active, torch.zeros_like(step.active[:1])]),
        "task": _append_last(step.task, step.task),
    }


def episodes_of(record: Record) -> Episodes:
    """Return the episodes of a record `[T + 1, B]`."""
    acted = record["active"][:-1]
    seen = torch.cat([torch.ones_like(acted[:1]), acted])
    return Episodes(
        step=steps_of(record | {"active": seen}),
        action=record["prev_action"][1:],
        reward=record["prev_reward"][1:],
        acted=acted,
    )


def _append_last(x: Tensor, of: Tensor) -> Tensor:
    return torch.cat([x, of[-1:]])
