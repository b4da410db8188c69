"""What a perfect statistician knows of a goal whose place in the plane is hidden.

The rewards are certain given the goal, so Bayes' rule only ever rules goals out. Zintgraf et al.
2020 (VariBAD, arXiv:1910.08348), section 5.1, compare this belief with a learned one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Moves:
    """Q moves that lead to goals."""

    before: np.ndarray  # [Q, 2], places from which to move
    action: np.ndarray  # [Q, ...]
    goal: np.ndarray  # [Q], rows of the goals


class HiddenGoal(Protocol):
    """G places where the goal may be, all equally likely at first; observations are places too."""

    cells: bool  # the goals are cells of a grid, and all tasks; else an even grid on a curve
    goals: np.ndarray  # [G, 2]
    pays: np.ndarray  # [G, G]: what row h, if it is the goal, pays on each place; identity on cells
    moves: Moves

    def place(self, tasks: np.ndarray) -> np.ndarray:
        """Return the goals `[..., 2]` of tasks `[..., D]`."""

    def agrees(self, positions: np.ndarray, reward: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return whether each goal may have paid as each step did, bool `[T, ..., G]`.

        Args:
            positions: `[T, ..., 2]`, where each step led to.
            reward: `[T, ...]`.
            found: bool `[T, ...]`, whether the goal was reached, as the reward tells.
        """


@runtime_checkable
class HidesGoal(Protocol):
    """A family whose tasks differ in the goal's place alone."""

    def hidden_goal(self) -> HiddenGoal | None:
        """Return what can be known of the goal; None if it is hardly hidden."""


def posterior(agrees: np.ndarray) -> np.ndarray:
    """Return the exact belief over goals after each step of a trial, `[T, ..., G]`.

    Nothing is forgotten between episodes, so the steps of several episodes of one task can be given
    one after the other.

    Args:
        agrees: bool `[T, ..., G]`, what each step leaves possible.

    Raises:
        ValueError: If no goal agrees with all that was seen.
    """
    possible = np.logical_and.accumulate(agrees, axis=0)
    num_possible = possible.sum(-1, keepdims=True)
    if not num_possible.all():
        raise ValueError("no goal agrees with what was seen")
    return possible / num_possible
