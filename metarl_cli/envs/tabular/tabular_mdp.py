"""Random tabular MDPs.

Duan et al. 2016 (arXiv:1611.02779), section 3.2: the mean reward of each state and action is drawn
from N(1, 1) and rewards have unit variance, the next state's distribution is drawn from a flat
Dirichlet, and every episode starts in the first state.
"""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Discrete
from scipy.special import ndtri

from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.envs.base.drawing import BLACK, BLUE, GREY, LIGHT, ORANGE, WHITE, Canvas

_FARTHEST = 5.0  # standard deviations at which drawn reward means are cut off, so that the task
# space is bounded: it happens once in 1.7 million numbers


class TabularMDP(NumpyFamily):
    """Unknown rewards of each state and action, unknown transitions; episodes of a few steps.

    A task is the mean rewards `[S * A]`, then the weights of the next states `[S * A * S]`, both in
    the order of states, then actions. Drawn weights are probabilities; any others that are not
    negative are legal too and count in proportion, and all zeros mean all alike.

    Args:
        num_states: S.
        num_actions: A.
        reward_mean: centre of the normal distribution of mean rewards.
        reward_mean_std: its standard deviation.
        reward_std: standard deviation of a reward around its mean.
        horizon: steps per episode.
    """

    def __init__(
        self,
        *,
        num_states: int,
        num_actions: int,
        reward_mean: float,
        reward_mean_std: float,
        reward_std: float,
        horizon: int,
    ) -> None:
        require_positive(
            num_states=num_states, num_actions=num_actions, reward_mean_std=reward_mean_std
        )
        require_not_negative(reward_std=reward_std)
        pairs = [f"{s}_{a}" for s in range(num_states) for a in range(num_actions)]
        low, high = np.zeros((2, len(pairs) * (1 + num_states)))
        low[: len(pairs)] = reward_mean - _FARTHEST * reward_mean_std
        high[: len(pairs)] = reward_mean + _FARTHEST * reward_mean_std
        high[len(pairs) :] = 1.0
        super().__init__(
            observation_space=Discrete(num_states),
            action_space=Discrete(num_actions),
            task_space=Box(low, high, dtype=np.float64),
            task_names=(
                *(f"reward_{pair}" for pair in pairs),
                *(f"weight_{pair}_{s}" for pair in pairs for s in range(num_states)),
            ),
            horizon=horizon,
        )
        self.shape = (num_states, num_actions)
        self._reward_mean, self._reward_mean_std = reward_mean, reward_mean_std
        self.reward_std = reward_std

    def batch(self, num_envs: int, *, threads: int = 1) -> TabularBatch:
        """Return MDPs."""
        return TabularBatch(self, num_envs)

    def anchors(self) -> dict[str, tuple[float, ...]]:
        """Return the mean return of random actions; those of good policies: `optimal_value`."""
        return {"random": (self.horizon * self._reward_mean,)}

    def optimal_value(self, tasks: np.ndarray) -> np.ndarray:
        """Return the best mean return `[N]` of an episode in known tasks `[N, D]`.

        Exact, by value iteration over the steps of an episode.
        """
        rewards, weights = self.unpack(tasks)  # [N, S, A], [N, S, A, S]
        total = weights.sum(axis=-1, keepdims=True)
        uniform = np.full_like(weights, 1.0 / self.shape[0])
        chances = np.divide(weights, total, out=uniform, where=total > 0)
        values = np.zeros((len(tasks), self.shape[0]))
        for _ in range(self.horizon):
            values = (rewards + np.einsum("nsat,nt->nsa", chances, values)).max(axis=-1)
        return values[:, 0]

    def unpack(self, tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split tasks `[N, D]` into mean rewards `[N, S, A]` and weights `[N, S, A, S]`."""
        states, actions = self.shape
        rewards, weights = np.split(tasks, [states * actions], axis=1)
        return (
            rewards.reshape(-1, states, actions),
            weights.reshape(-1, states, actions, states),
        )

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` to normal mean rewards and flat Dirichlet weights."""
        # Contiguous copies: vectorised functions round the same whatever the number of rows.
        rewards, weights = (part.copy() for part in self.unpack(uniform))
        normal = np.clip(ndtri(rewards), -_FARTHEST, _FARTHEST)
        exponential = -np.log1p(-weights)
        flat_dirichlet = exponential / exponential.sum(axis=-1, keepdims=True)
        means = self._reward_mean + self._reward_mean_std * normal
        num = len(uniform)
        return np.concatenate([means.reshape(num, -1), flat_dirichlet.reshape(num, -1)], axis=1)


class TabularBatch(NumpyBatch[TabularMDP]):
    """MDPs and their present states."""

    def __init__(self, family: TabularMDP, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self._all_rows = np.arange(num_envs)
        self._state = np.zeros(num_envs, np.int64)

    def initialize(self, rows: np.ndarray) -> None:
        """Begin in the first state."""
        self._state[rows] = 0

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Draw rewards and next states."""
        rows = self._all_rows if rows is None else rows
        num_states, num_actions = self.family.shape
        pairs = self._state[rows] * num_actions + actions[rows]
        first = num_states * (num_actions + pairs)[:, None]  # where the weights of a pair begin
        weights = self.tasks[rows[:, None], first + np.arange(num_states)]
        reward = np.zeros(self.num_envs)
        noise = self.random.normal(1, rows)[:, 0]
        reward[rows] = self.tasks[rows, pairs] + self.family.reward_std * noise
        self._state[rows] = _choose(weights, self.random.uniform(1, rows))
        return Outcome(
            reward=reward,
            terminated=np.zeros(self.num_envs, bool),
            unstable=np.zeros(self.num_envs, bool),
            info={},
        )

    def observe(self) -> np.ndarray:
        """Return the states, `[B]`."""
        return self._state.copy()

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row: the states in a circle, the current one in blue.

        Lines lead to where the actions of the current state mostly lead, orange those of the
        action with the highest mean reward; the thicker, the likelier.
        """
        num_states, state = self.family.shape[0], self._state[row]
        rewards, weights = (part[0, state] for part in self.family.unpack(self.tasks[[row]]))
        angles = 2 * np.pi * np.arange(num_states) / num_states
        places = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        canvas = Canvas((-1.3, 1.3), (-1.3, 1.3))
        best = int(rewards.argmax())
        for action in sorted(range(len(rewards)), key=lambda a: a == best):
            target = int(weights[action].argmax())
            colour = ORANGE if action == best else GREY
            width = 1 + 4 * weights[action, target]
            if target == state:
                canvas.ring(places[state, 0], places[state, 1], 0.22, colour, width)
            else:
                canvas.line(places[[state, target]], colour, width)
        for s, (x, y) in enumerate(places):
            canvas.disc(x, y, 0.16, BLUE if s == state else LIGHT)
            canvas.text(x, y, str(s), WHITE if s == state else BLACK)
        return canvas.image()


def _choose(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draw a column `[N]` in proportion to weights `[N, S]`, or evenly if all are zero.

    `uniform` `[N, 1]` are the random numbers, from U[0, 1).
    """
    heights = weights.cumsum(axis=1)
    nothing = heights[:, -1] <= 0
    if nothing.any():
        heights[nothing] = np.arange(1, weights.shape[1] + 1)
    return (uniform * heights[:, -1:] >= heights[:, :-1]).sum(axis=1)
