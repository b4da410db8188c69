"""The smallest environment, with hand-checkable dynamics, and a sampler of it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space

from metarl_cli.config.make import make_family
from metarl_cli.envs.base.batch import NumpyBatch, NumpyFamily, Outcome
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit

NUM_STATES = 5
NUM_ACTIONS = 3
PICTURE = (36, 40, 3)  # a column of 8 pixels for each value of the counter
SPLIT: dict[str, Any] = {
    "mode": "fresh",
    "num_train": 6,
    "train_seed": 0,
    "num_test": 3,
    "test_seed": 1,
}

Fault = Literal["reward", "obs", "unstable"]
ObsKind = Literal["vector", "discrete", "grid", "image", "dict"]


def observation_space(kind: ObsKind) -> Space[Any]:
    """The space of each kind of observation of a `TinyFamily`."""
    picture, instruction = Box(0, 255, PICTURE, np.uint8), Discrete(2)
    return {
        "vector": Box(-np.inf, np.inf, (2,), np.float32),
        "discrete": Discrete(NUM_STATES),
        "grid": Dict({"cell": MultiDiscrete([NUM_STATES, 2]), "instruction": instruction}),
        "image": picture,
        "dict": Dict({"image": picture, "instruction": instruction}),
    }[kind]


class TinyFamily(NumpyFamily):
    """A counter on a ring of 5 that moves by 1, or by the action taken if that is discrete.

    Observation: (counter / 5, start in [0, 1)), or the counter, alone, beside its parity in a grid
    or painted as a white column; dicts add an instruction, whether start is in the upper half.
    Reward: minus the distance of the action (its mean, or index - 1) to the task, a number in
    [-1, 1].

    Args:
        obs: vector, discrete, grid (a dict of numbers), image, dict (with an image).
        action: continuous (2 dimensions) or discrete (3 actions).
        horizon: steps per episode.
        ends: `[B]`, step in which a row terminates (1 = the first); None: no row ever does.
        fault: (what, step, row) goes wrong once per episode, step 0 being the first, -1 the reset.
    """

    info_keys = ("success", "unstable")

    def __init__(
        self,
        *,
        obs: ObsKind = "vector",
        action: Literal["continuous", "discrete"] = "continuous",
        horizon: int = 4,
        ends: list[int] | None = None,
        fault: tuple[Fault, int, int] | None = None,
    ) -> None:
        box = Box(-1, 1, (2,), np.float32)
        super().__init__(
            observation_space=observation_space(obs),
            action_space=box if action == "continuous" else Discrete(NUM_ACTIONS),
            task_space=Box(-1, 1, (1,), np.float64),
            task_names=("target",),
            horizon=horizon,
        )
        self.kind, self.ends, self.fault = obs, ends, fault

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Targets in [-1, 1]."""
        return 2 * uniform - 1

    def batch(self, num_envs: int = 6, *, threads: int = 1) -> TinyBatch:
        """Return counters at 0."""
        return TinyBatch(self, num_envs)


class TinyBatch(NumpyBatch[TinyFamily]):
    """Counters, and a number that each episode draws anew."""

    def __init__(self, family: TinyFamily, num_envs: int) -> None:
        super().__init__(family, num_envs)
        self.kind, self.fault = family.kind, family.fault
        self.ends = np.full(num_envs, np.inf) if family.ends is None else np.asarray(family.ends)
        self.start = np.zeros(num_envs)
        self.counter = np.zeros(num_envs, np.int64)

    def initialize(self, rows: np.ndarray) -> None:
        """Draw the start and put the counter to 0."""
        self.start[rows] = self.random.uniform(1, rows)[:, 0]
        self.counter[rows] = 0

    def simulate(self, actions: np.ndarray, rows: np.ndarray | None) -> Outcome:
        """Move the counters and pay for the actions."""
        chosen = slice(None) if rows is None else rows
        discrete = isinstance(self.family.action_space, Discrete)
        self.counter[chosen] += actions[chosen] if discrete else 1
        value = actions - 1 if discrete else actions.mean(1)
        reward = -np.abs(value - self.tasks[:, 0])
        unstable = np.zeros(self.num_envs, bool)
        reward[self._struck("reward")] = np.nan
        unstable[self._struck("unstable")] = True
        return Outcome(
            reward=reward,
            terminated=self.elapsed + 1 >= self.ends,
            unstable=unstable,
            info={"success": (reward > -0.1).astype(np.float64)},
        )

    def observe(self) -> np.ndarray | dict[str, np.ndarray]:
        """Return the counters in the kind of observation that was asked for."""
        ring = self.counter % NUM_STATES
        instruction = (self.start >= 0.5).astype(np.int64)
        if self.kind == "discrete":
            return ring.copy()
        if self.kind == "image":
            return _painted(ring)
        if self.kind == "dict":
            return {"image": _painted(ring), "instruction": instruction}
        if self.kind == "grid":
            return {"cell": np.stack([ring, ring % 2], 1), "instruction": instruction}
        obs = np.stack([ring / NUM_STATES, self.start], 1).astype(np.float32)
        obs[self._struck("obs"), 0] = np.nan
        return obs

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture as bright as the counter."""
        return np.full((4, 4, 3), self.counter[row] % NUM_STATES, np.uint8)

    def _struck(self, what: Fault) -> list[int]:
        """The rows where this goes wrong now."""
        if self.fault is None:
            return []
        step = int(self.elapsed.max()) if self.counter.any() else -1
        return [self.fault[2]] if self.fault[:2] == (what, step) else []


def _painted(ring: np.ndarray) -> np.ndarray:
    """Pictures `[B, *PICTURE]` with a white column for each number."""
    columns = np.arange(PICTURE[1]) // 8 == ring[:, None]
    return np.where(columns[:, None, :, None], 255, np.zeros(PICTURE, int)).astype(np.uint8)


def tiny_sampler(
    *,
    num_tasks: int = 3,
    num_envs: int = 6,
    seed: int = 0,
    record_info: bool = False,
    mode: Literal["fresh", "finite"] = "fresh",
    device: str = "cpu",
    **settings: Any,
) -> Sampler:
    """Sampler of a `TinyFamily` with the given settings."""
    family = TinyFamily(**settings)
    split = TaskSplit(family, **(SPLIT | {"mode": mode}))
    simulation = family.simulate(num_envs, device=device)
    return Sampler(simulation, split, num_tasks=num_tasks, seed=seed, record_info=record_info)


def batch_of(*, name: str, num_envs: int, num_threads: int = 0, **settings: Any) -> NumpyBatch:
    """Environments of `conf/env/<name>.yaml`; settings are its dotted keys."""
    return make_family(name=name, **settings).batch(num_envs, threads=num_threads)
