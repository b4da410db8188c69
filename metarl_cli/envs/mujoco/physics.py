"""Many simulations of one MuJoCo model, stepped on MuJoCo's own threads."""

from __future__ import annotations

import logging
import os

import mujoco
import numpy as np
from mujoco.batch import Batch

from metarl_cli.core.checks import require_not_negative, require_positive

LARGEST = float(mujoco.mjMAXVAL)  # MuJoCo resets a simulation with a coordinate beyond this

_log = logging.getLogger(__name__)
_UNSTABLE = slice(mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQACC + 1)
_STAGE_NONE = mujoco.mjtStage.mjSTAGE_NONE.value


class Physics:
    """`B` simulations; `qpos` `[B, Q]`, `qvel` `[B, V]` and `ctrl` `[B, A]` are live views.

    Args:
        model: what all simulate; single fields may differ after `expand`.
        num_envs: number of simulations B.
        num_threads: 0 for all CPUs; results do not depend on it.
        persistent: keep one MjData per simulation, so that stages after a step are computed once.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        num_threads: int = 0,
        *,
        persistent: bool = False,
    ) -> None:
        require_positive(num_envs=num_envs)
        require_not_negative(num_threads=num_threads)
        # MuJoCo's own handler writes to stderr and MUJOCO_LOG.TXT; info says "unstable" instead.
        mujoco.set_mju_user_warning(_log.debug)
        threads = min(num_threads or os.cpu_count() or 1, num_envs)
        self.model = model
        self.batch = Batch(model, num_envs, threads, persistent=persistent)
        self.qpos, self.qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self.ctrl = self.batch.bind("ctrl")

    def reset(self, rows: np.ndarray) -> None:
        """Put simulations in the model's default state; write `qpos` and `qvel` afterwards."""
        self.batch.reset(rows, stage=_STAGE_NONE)

    def step(self, rows: np.ndarray | None, num_steps: int, stage: int = _STAGE_NONE) -> None:
        """Advance simulations (None: all) by physics steps, then compute stages of the new state.

        A blown-up simulation is reset by MuJoCo: see `unstable`.
        """
        self.batch.step(rows, num_steps, stage=stage)

    def roll_out(self, controls: np.ndarray, num_steps: int) -> None:
        """Advance simulations through controls `[T, B, A]`, each for so many steps, in one call."""
        held = np.repeat(np.swapaxes(controls, 0, 1), num_steps, axis=1)
        self.batch.rollout(held.shape[1], held, record=("qpos", "qvel"))

    def unstable(self) -> np.ndarray:
        """Return which simulations have blown up since their last reset, bool `[B]`."""
        warning = self.batch.warning  # [B, kinds, 2]: last details, and count since the reset
        if not warning.any():
            return np.zeros(len(warning), bool)
        return warning[:, _UNSTABLE, 1].any(axis=1)
