"""Exact planning in a maze for an agent that knows the map and the box places, but not the bit.

Its knowledge has three states: the blue box is right, the red one is right, or not known yet, which
lasts until it comes near the grey box. Over poses and knowledge the best plan solves Bellman's
equation, by value iteration; every layout of the boxes is solved by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl_cli.envs.maze.map import FORWARD, MazeMap

BLUE, RED, UNKNOWN = 0, 1, 2  # what the agent knows: first axis K of the tables


@dataclass(frozen=True)
class Stakes:
    """What a plan pays: per step, at the right box, at the wrong one, and when time runs out."""

    step: float
    right: float
    wrong: float
    unfinished: float


STEPS = Stakes(step=1.0, right=0.0, wrong=np.inf, unfinished=np.inf)  # to the right box for sure
LOSS = Stakes(step=0.0, right=-1.0, wrong=1.0, unfinished=0.0)  # minus the return


def cost_to_go(maze: MazeMap, stakes: Stakes, *, num_steps: int | None = None) -> np.ndarray:
    """Return the least expected cost of `num_steps` steps (None: no limit).

    Returns:
        `[K, L, S]`: by knowledge, layout (a row of `maze.layouts`) and pose.
    """
    cost = np.full((3, len(maze.layouts), maze.num_poses), stakes.unfinished)
    for _ in range(maze.num_poses if num_steps is None else num_steps):
        last, cost = cost, action_costs(maze, stakes, cost).min(axis=0)
        # Near the grey box the secret is out, with either answer as likely.
        cost[UNKNOWN] = np.where(maze.in_range, cost[:UNKNOWN].mean(axis=0), cost[UNKNOWN])
        if np.array_equal(cost, last):
            break
    return cost


def action_costs(maze: MazeMap, stakes: Stakes, cost: np.ndarray) -> np.ndarray:
    """Return the expected cost of each action, `[3, K, L, S]`, if `cost` `[K, L, S]` follows."""
    after = np.stack([cost[:, :, poses] for poses in maze.next_pose])
    at_box = np.full((2, 2), stakes.wrong)  # [knowledge, box]
    np.fill_diagonal(at_box, stakes.right)
    at_box = np.concatenate([at_box, at_box.mean(axis=0, keepdims=True)])
    for box in (BLUE, RED):
        touched = maze.ahead == maze.layouts[:, box, None]  # [L, S]
        after[FORWARD] = np.where(touched, at_box[:, box, None, None], after[FORWARD])
    return stakes.step + after


def optimal_steps(maze: MazeMap) -> float:
    """Return the mean length of the shortest plan that is sure to end at the right box.

    Exact: the average over every start pose, layout and value of the bit.
    """
    return float(cost_to_go(maze, STEPS)[UNKNOWN][:, maze.start_poses].mean())


def best_return(maze: MazeMap, *, horizon: int, informed: bool) -> float:
    """Return the highest mean return of an episode, for an agent that knows the bit or does not."""
    cost = cost_to_go(maze, LOSS, num_steps=horizon)[:, :, maze.start_poses]
    return float(-(cost[:UNKNOWN] if informed else cost[UNKNOWN]).mean()) + 0.0  # no -0
