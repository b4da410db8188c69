"""Bernoulli bandits with unknown arms.

Duan et al. 2016 (arXiv:1611.02779), section 3.1: k arms, each pays 1 with a probability of its own,
drawn from U[0, 1]; a trial is n pulls.
"""

from __future__ import annotations

import functools

import numpy as np
from gymnasium.spaces import Box, Discrete

from metarl_cli.core.checks import require_positive
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLACK, BLUE, GREEN, GREY, LIGHT, RED, Canvas

Arm = tuple[int, int]  # successes and failures seen so far
Belief = tuple[Arm, ...]  # sorted: arms that look the same are the same

_MOST_BELIEFS = 10_000  # where the exact values take longer than a blink, they are left out


class BernoulliBandit(NumpyFamily):
    """Arms pay 1 or nothing, each with its own probability; an episode is a trial of n pulls.

    The horizon is n. The observation is constant, a Discrete of one value, so all that an agent can
    learn from is its own last action and reward, which every agent with a memory is shown at each
    step. (Were each pull an episode of its own, it would cost a reset for the same information.)
    Agents that adapt between episodes see n pulls of the same arms per episode.

    Args:
        num_arms: k.
        horizon: pulls per episode, n.
    """

    def __init__(
        self,
        *,
        num_arms: int,
        horizon: int,
    ) -> None:
        require_positive(num_arms=num_arms)
        super().__init__(
            observation_space=Discrete(1),
            action_space=Discrete(num_arms),
            task_space=Box(0.0, 1.0, (num_arms,), np.float64),
            task_names=tuple(f"probability_{arm}" for arm in range(num_arms)),
            horizon=horizon,
        )

    def batch(self, num_envs: int, *, threads: int = 1) -> BanditBatch:
        """Return bandits."""
        return BanditBatch(self, num_envs)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return mean returns of the first episode of policies from blind to all-knowing.

        `random` pulls any arm and `oracle` the best; where they can be computed in an instant also
        `greedy`, the arm with the highest posterior mean (ties at random), and `bayes_optimal`.
        Memory of more than one episode can only raise the last two.
        """
        k, n = len(self.task_names), self.horizon
        returns = {
            "random": n / 2,
            **values_of_learning(k, n),
            "oracle": n * k / (k + 1),  # the highest of k uniform numbers is k / (k + 1) on average
        }
        return {policy: (value,) for policy, value in returns.items()}

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Tasks are the arms' probabilities, `[num, k]`."""
        return uniform


class BanditBatch(NumpyBatch[BernoulliBandit]):
    """Bandits, and what their last pulls gave."""

    def __init__(self, family: BernoulliBandit, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self._all_rows = np.arange(num_envs)
        self._last_arm = np.full(num_envs, -1)  # -1 before the first pull
        self._last_reward = np.zeros(num_envs)

    def initialize(self, rows: np.ndarray) -> None:
        """Forget the last pull."""
        self._last_arm[rows] = -1
        self._last_reward[rows] = 0.0

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Pull arms `[B]`."""
        rows = self._all_rows if rows is None else rows
        arms = actions[rows]
        self._last_arm[rows] = arms
        self._last_reward[rows] = self.random.uniform(1, rows)[:, 0] < self.tasks[rows, arms]
        return Outcome(
            reward=self._last_reward.copy(),
            terminated=np.zeros(self.num_envs, bool),
            unstable=np.zeros(self.num_envs, bool),
            info={},
        )

    def observe(self) -> np.ndarray:
        """Return the same for ever, `[B]`."""
        return np.zeros(self.num_envs, np.int64)

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: the arms' probabilities, and whether the last pull paid."""
        k = len(self.tasks[row])
        canvas = Canvas((0.0, k), (-0.12 * k, 0.8 * k))
        for arm, probability in enumerate(self.tasks[row]):
            canvas.rectangle((arm + 0.2, 0.0), (arm + 0.8, 0.7 * k), LIGHT)
            colour = BLUE if arm == self._last_arm[row] else GREY
            canvas.rectangle((arm + 0.2, 0.0), (arm + 0.8, 0.7 * k * probability), colour)
        canvas.line(np.array([[0.0, 0.0], [k, 0.0]]), BLACK)
        if (arm := self._last_arm[row]) >= 0:
            colour = GREEN if self._last_reward[row] else RED
            canvas.disc(arm + 0.5, -0.06 * k, min(0.3, 0.04 * k), colour)
        return canvas.image()


@functools.lru_cache
def values_of_learning(num_arms: int, num_pulls: int) -> dict[str, float]:
    """Return the exact mean returns of `greedy` and `bayes_optimal`; nothing if that takes long.

    Dynamic programming over beliefs: given what was seen, an arm's probability is Beta(successes +
    1, failures + 1), and the arms' order does not matter.
    """
    levels: list[set[Belief]] = [{((0, 0),) * num_arms}]  # beliefs after 0, 1, ... pulls
    for _ in range(num_pulls - 1):
        levels.append({after for b in levels[-1] for arm in set(b) for after in _outcomes(b, arm)})
        if sum(map(len, levels)) > _MOST_BELIEFS:
            return {}
    best: dict[Belief, float] = {}
    greedy: dict[Belief, float] = {}
    for level in reversed(levels):
        for belief in level:
            best[belief] = max(_value(belief, arm, best) for arm in set(belief))
            highest = max(map(_mean, belief))
            tied = [arm for arm in belief if _mean(arm) == highest]
            greedy[belief] = sum(_value(belief, arm, greedy) for arm in tied) / len(tied)
    (start,) = levels[0]
    return {"greedy": greedy[start], "bayes_optimal": best[start]}


def _mean(arm: Arm) -> float:
    successes, failures = arm
    return (successes + 1) / (successes + failures + 2)


def _outcomes(belief: Belief, arm: Arm) -> tuple[Belief, Belief]:
    """Return the beliefs after a success and after a failure of an arm."""
    rest, (successes, failures) = list(belief), arm
    rest.remove(arm)
    paid, failed = (successes + 1, failures), (successes, failures + 1)
    return tuple(sorted([*rest, paid])), tuple(sorted([*rest, failed]))


def _value(belief: Belief, arm: Arm, values: dict[Belief, float]) -> float:
    """Return the mean reward from pulling an arm now and what `values` says of the future."""
    paid, failed = _outcomes(belief, arm)
    mean = _mean(arm)  # beliefs after the last pull are in no level: they are worth 0
    return mean * (1.0 + values.get(paid, 0.0)) + (1.0 - mean) * values.get(failed, 0.0)
