"""A NumPy batch behind the boundary that samplers see: tensors in, tensors out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from metarl_cli.core.types import Observation, StepResult

if TYPE_CHECKING:
    from metarl_cli.envs.base.batch import Arrays, NumpyBatch


class TensorSimulation:
    """See `core.protocols.Simulation`. On the CPU, observations share memory with their arrays.

    Args:
        batch: the environments.
        device: of the tensors that come out; those that go in may be anywhere.
    """

    def __init__(self, batch: NumpyBatch, device: torch.device | str = "cpu") -> None:
        self._batch = batch
        self.num_envs, self.device = batch.num_envs, torch.device(device)
        self._on_cpu = self.device.type == "cpu"
        self.spec, self.info_keys = batch.family.spec, batch.family.info_keys

    def reset(self, task: Tensor, *, seed: int) -> Observation:
        """Begin an episode in every row; see `Simulation`."""
        obs, _ = self._batch.reset(seed=seed, task=task.cpu().numpy())
        return self._observation(obs)

    def step(self, action: Tensor) -> StepResult:
        """Advance every row whose episode goes on; see `Simulation`."""
        obs, reward, terminated, truncated, info = self._batch.step(action.cpu().numpy())
        return StepResult(
            self._observation(obs),
            self._tensor(reward.astype(np.float32)),
            self._tensor(terminated),
            self._tensor(truncated),
            {key: self._tensor(values) for key, values in info.items()},
        )

    def draw(self, row: int = 0) -> np.ndarray:
        """Return a picture of one row, uint8 `[height, width, 3]`."""
        return self._batch.draw(row)

    def close(self) -> None:
        """Release what pictures needed."""
        self._batch.close()

    def _observation(self, obs: Arrays) -> Observation:
        if isinstance(obs, dict):
            return {key: self._tensor(values) for key, values in obs.items()}
        return self._tensor(obs)

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self._on_cpu else tensor.to(self.device)  # even an idle `.to` takes time
