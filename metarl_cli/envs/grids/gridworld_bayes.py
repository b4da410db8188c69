"""What a perfect statistician knows and does in `gridworld.GridNavigation`."""

from __future__ import annotations

import numpy as np

from metarl_cli.envs.base.hidden_goal import HiddenGoal, Moves

MAX_VISITS = 100_000  # the search for a perfect plan gives up here


class CellGoals(HiddenGoal):
    """Goals that are cells of a grid, each of which pays there alone.

    Args:
        goals: `[G, 2]`, the cells that may be the goal.
        moves: from the cells beside them.
    """

    cells = True

    def __init__(self, goals: np.ndarray, moves: Moves) -> None:
        self.goals, self.moves = goals, moves
        self.pays = np.eye(len(goals))

    def place(self, tasks: np.ndarray) -> np.ndarray:
        """Tasks are goals."""
        return tasks

    def agrees(self, positions: np.ndarray, reward: np.ndarray, found: np.ndarray) -> np.ndarray:
        """A step rules out the cell it led to, or all others if it found the goal."""
        here = (positions[..., None, :] == self.goals).all(-1)  # [T, ..., G]
        return here == found[..., None]


def steps_to(goals: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return after how many steps each goal `[G, 2]` can first be stood on, `[G]`."""
    return np.maximum(np.abs(goals - start).sum(-1), 1)


def earliest_finds(steps: np.ndarray) -> np.ndarray:
    """Return the earliest time of the first, second, ... visit to a new goal, `[G]`.

    No walk is ahead of this at any count: a step leads to one cell, and to none earlier than the
    shortest path of `steps` `[G]` does.
    """
    times = np.sort(steps)
    for k in range(1, len(times)):
        times[k] = max(times[k], times[k - 1] + 1)
    return times


def perfect_plan(goals: np.ndarray, start: np.ndarray, horizon: int) -> list[int] | None:
    """Return an order of search that no other beats in any episode, if there is one.

    As long as the goal is not found, each step says no more than "not here", so a plan is a walk
    fixed beforehand; once found, the goal is walked to and stood on. No walk finds more goals by
    any time than `earliest_finds` says, and no later episode beats the shortest path. A plan is
    perfect, hence Bayes-optimal for a trial of any number of episodes, if it attains both bounds:
    in the first episode each find comes as early as possible, and those goals for which there was
    no time all lie on one shortest path, so that looking for them in the second costs nothing.

    Args:
        goals: `[G, 2]`, the cells that may be the goal, all equally likely.
        start: `[2]`, the cell where each episode begins.
        horizon: steps per episode.

    Returns:
        Row numbers of `goals` in the order of the first episode's visits, or None if there is no
        perfect plan (or none was found within `MAX_VISITS` tried visits).
    """
    steps = steps_to(goals, start)
    reachable = np.flatnonzero(steps <= horizon)
    times = earliest_finds(steps[reachable])
    gaps = np.diff(times[times <= horizon], prepend=0)
    places = np.vstack([start, goals[reachable]])
    apart = np.abs(places[:, None] - places[None]).sum(-1)  # steps from one to another
    walk, untried = [0], []  # rows of `places`; for each, where the walk could go on to
    for _ in range(MAX_VISITS):
        complete = len(walk) > len(gaps)
        if complete and _on_one_shortest_path(np.delete(places, walk, 0), start):
            return [int(reachable[place - 1]) for place in walk[1:]]
        near = np.zeros(len(places), bool) if complete else apart[walk[-1]] <= gaps[len(walk) - 1]
        near[walk] = False
        untried.append(np.flatnonzero(near).tolist())
        while not untried[-1]:  # a dead end: take the last visit back
            untried.pop()
            walk.pop()
            if not untried:
                return None
        walk.append(untried[-1].pop())
    return None


def _on_one_shortest_path(cells: np.ndarray, start: np.ndarray) -> bool:
    steps = steps_to(cells, start)
    path, steps = cells[np.argsort(steps)], np.sort(steps)
    return bool((np.abs(np.diff(path, axis=0)).sum(-1) == np.diff(steps)).all())
