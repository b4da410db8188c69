"""A task as a vector: from the task itself, and from an episode spent in it (DREAM's f and g)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from metarl_cli.core.networks import Network, Precision
from metarl_cli.core.types import EnvSpec, TimeStep
from metarl_cli.networks.mlp import MLP, initialised_linear
from metarl_cli.networks.step_memory import StepMemory

# Gain of the last layer of f. Tasks have to be told apart through the noise from the beginning:
# exploration is paid for nothing else, and once it has given up, there is nothing to learn from.
DISTINCT = 4.0


class TaskValues(nn.Module):
    """Task parameters `[..., D]` as features: one-hot each where there are finitely many tasks.

    Otherwise scaled to [-1, 1].
    """

    values: Tensor  # [D, V], filled up with NaN, which equals nothing

    def __init__(self, spec: EnvSpec, network: Network) -> None:
        super().__init__()
        self.finite = spec.all_tasks is not None
        self.scale = network.task_encoder(spec.task)
        columns = [] if spec.all_tasks is None else [np.unique(x) for x in spec.all_tasks.T]
        most = max(map(len, columns), default=0)
        padded = [np.pad(x, (0, most - len(x)), constant_values=np.nan) for x in columns]
        values = torch.as_tensor(np.array(padded), dtype=torch.float32)
        self.register_buffer("values", values, persistent=False)
        self.out_dim = values.numel() if self.finite else spec.task.shape[0]

    def forward(self, task: Tensor) -> Tensor:
        """Return features `[..., out_dim]`."""
        if not self.finite:
            return self.scale(task)
        return (task.unsqueeze(-1) == self.values).float().flatten(-2)


class TaskEmbedding(nn.Module):
    """f: tasks `[..., D]` to `[..., Z]`."""

    def __init__(
        self, spec: EnvSpec, network: Network, latent_dim: int, hidden: Sequence[int]
    ) -> None:
        super().__init__()
        self.task_values = TaskValues(spec, network)
        self.torso = MLP(hidden, "relu", in_dim=self.task_values.out_dim)
        self.out = initialised_linear(self.torso.out_dim, latent_dim, DISTINCT)

    def forward(self, task: Tensor) -> Tensor:
        """Embed tasks."""
        return self.out(self.torso(self.task_values(task)))


class EpisodeEmbedding(nn.Module):
    """g: what has been seen of an episode, to Z numbers."""

    def __init__(
        self, spec: EnvSpec, network: Network, latent_dim: int, precision: Precision
    ) -> None:
        super().__init__()
        self.memory = StepMemory(spec, network, precision)
        self.out = initialised_linear(self.memory.out_dim, latent_dim)

    def forward(self, step: TimeStep) -> Tensor:
        """Embed episodes `[T, B]` up to each step: `[T, B, Z]`."""
        return self.out(self.memory.sequence(step))
