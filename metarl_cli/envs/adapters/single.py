"""One environment of a family as an ordinary `gymnasium.Env`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from metarl_cli.envs.adapters.vector import RENDER, require_render_mode, reset_arguments
from metarl_cli.envs.base.batch import Arrays, NumpyFamily


class SingleEnv(gymnasium.Env):
    """A batch of one, without the batch dimension.

    With `reset(seed=s)` it is bit for bit the row of a batch that was seeded with s.

    Args:
        family: of the environment.
        threads: of physics and pictures.
        render_mode: None or "rgb_array".
    """

    metadata: dict[str, Any] = RENDER

    def __init__(
        self, family: NumpyFamily, *, threads: int = 1, render_mode: str | None = None
    ) -> None:
        require_render_mode(render_mode)
        self.family, self.render_mode = family, render_mode
        self._batch = family.batch(1, threads=threads)
        self._seeded = False
        self.observation_space = family.observation_space
        self.action_space = family.action_space

    @property
    def task(self) -> np.ndarray:
        """The current task, `[D]`; choose another with `reset(options={"task": ...})`."""
        return self._batch.tasks[0].copy()

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `[num, D]` tasks of the family."""
        return self.family.sample_tasks(num, rng)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Begin a new episode; see `VectorEnv.reset`."""
        super().reset(seed=seed)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**32))
        self._seeded = True
        obs, info = self._batch.reset(seed=seed, **reset_arguments(options))
        return _first(obs), _scalars(info)

    def step(self, action: np.ndarray) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """Advance by one step; see `NumpyBatch.step`."""
        obs, reward, terminated, truncated, info = self._batch.step(np.asarray(action)[None])
        return (
            _first(obs),
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _scalars(info),
        )

    def render(self) -> np.ndarray | None:
        """Return a picture, uint8 `[height, width, 3]`; None if no render mode was chosen."""
        return None if self.render_mode is None else self._batch.draw(0)

    def close(self) -> None:
        """Release the simulation."""
        self._batch.close()


def _first(obs: Arrays) -> Any:
    return {key: values[0] for key, values in obs.items()} if isinstance(obs, dict) else obs[0]


def _scalars(info: dict[str, np.ndarray]) -> dict[str, Any]:
    return {key: values[0].item() for key, values in info.items()}
