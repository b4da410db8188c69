"""What is predicted from a latent task: rewards, or the task itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.networks.encoders import ObservationEncoder, TaskScale, build_encoder
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.mlp import MLP, initialised_linear


class PairDecoder(nn.Module):
    """An MLP on every pair of a latent `[L, M, Z]` and a query `[Q, M, F]`: `[L, Q, M, out]`.

    The first layer is a sum of two linear maps, so pairs exist only behind it.
    """

    def __init__(
        self, latent_dim: int, query_dim: int, hidden: Sequence[int], out_dim: int
    ) -> None:
        super().__init__()
        self.latent = initialised_linear(latent_dim, hidden[0])
        self.query = initialised_linear(query_dim, hidden[0])
        self.torso = MLP(hidden[1:], "relu", in_dim=hidden[0])
        self.out = initialised_linear(self.torso.out_dim, out_dim)

    def forward(self, latent: Tensor, query: Tensor) -> Tensor:
        """Decode every pair."""
        hidden = self.latent(latent).unsqueeze(1) + self.query(query).unsqueeze(0)
        return self.out(self.torso(torch.relu(hidden)))


class RewardDecoder(nn.Module):
    """Predicts the reward of a transition (state, action, next state) in a latent task.

    Args:
        spec: the environment.
        latent_dim: size Z.
        hidden: layer sizes, two or more.
        sees: "transition", or "next_state" alone, where that decides the reward.
    """

    def __init__(
        self,
        spec: EnvSpec,
        latent_dim: int,
        hidden: Sequence[int],
        sees: Literal["transition", "next_state"],
    ) -> None:
        super().__init__()
        if len(hidden) < 2:
            raise ValueError(f"decoder_hidden: got {list(hidden)}, expected two layers or more")
        if sees not in ("transition", "next_state"):
            raise ValueError(f"decoder_sees: got {sees!r}, expected 'transition' or 'next_state'")
        self.sees_all = sees == "transition"
        self.action = build_encoder(spec.action)
        self.before = ObservationEncoder(spec.observation, self.action.out_dim)
        self.after = ObservationEncoder(spec.observation)
        self.inputs_before = Inputs(self.before.out_dim, self.before.image)
        self.inputs_after = Inputs(self.after.out_dim, self.after.image)
        query_dim = self.inputs_after.out_dim
        query_dim += self.inputs_before.out_dim if self.sees_all else 0
        self.decode = PairDecoder(latent_dim, query_dim, hidden, 1)

    def forward(
        self, latent: Tensor, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """Predict the rewards `[L, Q, M]` of transitions `[Q, M, ...]` from latents `[L, M, Z]`."""
        query = self.inputs_after(self.after(next_obs))
        if self.sees_all:
            before = self.inputs_before(self.before(obs, self.action(action)))
            query = torch.cat([before, query], -1)
        return self.decode(latent, query).squeeze(-1)

    def take_statistics(
        self, obs: Observation, action: Tensor, next_obs: Observation, active: Tensor
    ) -> None:
        """Update the standardisation of transitions with new ones `[T, M, ...]`."""
        self.inputs_before.take_in(self.before(obs, self.action(action)), active)
        self.inputs_after.take_in(self.after(next_obs), active)


class TaskDecoder(nn.Module):
    """Tells the task from a latent: which of finitely many it is, or its parameters.

    Parameters are predicted in units of the task space, -1 to 1, with a squared error.
    """

    tasks: Tensor

    def __init__(self, spec: EnvSpec, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.finite = spec.all_tasks is not None
        tasks = spec.all_tasks if spec.all_tasks is not None else np.zeros((0, spec.task.shape[0]))
        self.register_buffer("tasks", torch.as_tensor(tasks).float(), persistent=False)
        self.scale = TaskScale(spec.task)
        self.torso = MLP(hidden, "relu", in_dim=latent_dim)
        out_dim = len(tasks) if self.finite else spec.task.shape[0]
        self.out = initialised_linear(self.torso.out_dim, out_dim)

    def forward(self, latent: Tensor) -> Tensor:
        """Return log-probabilities of all tasks, or scaled parameters: `[..., out]`."""
        out = self.out(self.torso(latent))
        return out.log_softmax(-1) if self.finite else out

    def loss(self, latent: Tensor, task: Tensor) -> Tensor:
        """Return -log p(task | latent) `[...]`, up to a constant for parameters."""
        prediction = self(latent)
        if self.finite:
            which = torch.cdist(task.flatten(0, -2), self.tasks).argmin(-1).view(task.shape[:-1])
            return -prediction.gather(-1, which.unsqueeze(-1)).squeeze(-1)
        return (prediction - self.scale(task)).square().sum(-1)
