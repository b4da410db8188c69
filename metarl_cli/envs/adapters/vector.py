"""A batch of a family as a `gymnasium.vector.VectorEnv`, in any of gymnasium's autoreset modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from metarl_cli.core.checks import require_choice
from metarl_cli.envs.base.batch import Arrays, Info, NumpyFamily, Stepped

RENDER: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}


class VectorEnv(gymnasium.vector.VectorEnv):
    """Environments that behave as gymnasium's `SyncVectorEnv` of single ones, only faster.

    Args:
        family: of the environments.
        num_envs: B.
        threads: of physics and pictures, 0 for all CPUs; results do not depend on it.
        render_mode: None or "rgb_array".
        autoreset_mode: what happens to a row whose episode has ended. "NextStep": its next step
            begins a new one (its action is ignored, the reward is 0); "SameStep": the new one
            begins at once, info holds `final_obs` and `final_info`; "Disabled": it stands still
            (observation repeated, reward 0) until `reset`.

    Attributes:
        batch: the simulation.
    """

    def __init__(
        self,
        family: NumpyFamily,
        num_envs: int,
        *,
        threads: int = 1,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        require_render_mode(render_mode)
        modes = [mode.value for mode in AutoresetMode]
        if not isinstance(autoreset_mode, AutoresetMode):
            require_choice("autoreset_mode", autoreset_mode, modes)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = RENDER | {"autoreset_mode": self.autoreset_mode}
        self.family, self.num_envs, self.render_mode = family, num_envs, render_mode
        self.batch = family.batch(num_envs, threads=threads)
        self.single_observation_space = family.observation_space
        self.single_action_space = family.action_space
        self.observation_space = batch_space(family.observation_space, num_envs)
        self.action_space = batch_space(family.action_space, num_envs)
        self._waiting = np.zeros(num_envs, bool)  # for the reset of their next step

    @property
    def tasks(self) -> np.ndarray:
        """The current tasks, `[B, D]`; choose others with `reset(options={"task": ...})`."""
        return self.batch.tasks.copy()

    def sample_tasks(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `[num, D]` tasks of the family."""
        return self.family.sample_tasks(num, rng)

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Arrays, dict[str, Any]]:
        """Begin new episodes.

        Args:
            seed: s seeds row i with s + i, a sequence gives one seed per row.
            options: `task` and `reset_mask`; see `NumpyBatch.reset`.
        """
        arguments = reset_arguments(options)
        obs, info = self.batch.reset(seed=seed, **arguments)
        mask = arguments["mask"]
        begun = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        self._waiting &= ~begun
        return obs, _with_masks(info, begun)

    def step(
        self, actions: np.ndarray
    ) -> tuple[Arrays, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance by one step; see `NumpyBatch.step`."""
        stepped = self.batch.step(actions)
        obs, reward, terminated, truncated, info = stepped
        ended = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            obs, masked = self._begin_at_once(stepped, ended)
        else:
            masked = _with_masks(info, np.ones(self.num_envs, bool))
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            if self._waiting.any():
                obs, _ = self.batch.reset(mask=self._waiting)
            self._waiting = ended
        return obs, reward, terminated, truncated, masked

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Draw all rows, uint8 `[height, width, 3]` each; None if no render mode was chosen."""
        return (
            None if self.render_mode is None else tuple(map(self.batch.draw, range(self.num_envs)))
        )

    def close_extras(self, **_: object) -> None:
        """Release what pictures needed."""
        self.batch.close()

    def _begin_at_once(self, stepped: Stepped, ended: np.ndarray) -> tuple[Arrays, dict[str, Any]]:
        """Reset the rows that have ended; what they saw last goes into info."""
        last_obs, *_, last_info = stepped
        obs, _ = self.batch.reset(mask=ended)
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(ended).tolist():
            final_obs[row] = _row(last_obs, row)
        final = {key: np.where(ended, x, np.zeros_like(x)) for key, x in last_info.items()}
        info = {key: np.where(ended, np.zeros_like(x), x) for key, x in last_info.items()}
        return obs, {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": _with_masks(final, ended),
            "_final_info": ended.copy(),
            **_with_masks(info, np.ones(self.num_envs, bool)),
        }


def require_render_mode(mode: str | None) -> None:
    """Raise ValueError for what cannot be rendered."""
    legal = RENDER["render_modes"]
    if mode is not None and mode not in legal:
        raise ValueError(f"render_mode: got {mode!r}, expected None or one of {legal}")


def reset_arguments(options: dict[str, Any] | None) -> dict[str, Any]:
    """Return gymnasium's options as `NumpyBatch.reset` takes them."""
    choices = dict(options or {})
    arguments = {"task": choices.pop("task", None), "mask": choices.pop("reset_mask", None)}
    if choices:
        raise ValueError(f"options: got {sorted(choices)}, expected task, reset_mask")
    return arguments


def _with_masks(info: Info, given: np.ndarray) -> dict[str, Any]:
    """Add `_key` for each key of info: which rows it is said of, bool `[B]`."""
    return info | {f"_{key}": given.copy() for key in info}


def _row(obs: Arrays, row: int) -> Any:
    if isinstance(obs, dict):
        return {key: values[row].copy() for key, values in obs.items()}
    return obs[row].copy()
