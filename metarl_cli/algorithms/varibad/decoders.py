"""What is predicted from a latent task: rewards, next states, or the task itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from metarl_cli.core.checks import require_choice
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
        if len(hidden) < 2:
            raise ValueError(f"decoder_hidden: got {list(hidden)}, expected two layers or more")
        self.latent = initialised_linear(latent_dim, hidden[0])
        self.query = initialised_linear(query_dim, hidden[0])
        self.torso = MLP(hidden[1:], "relu", in_dim=hidden[0])
        self.out = initialised_linear(self.torso.out_dim, out_dim)

    def forward(self, latent: Tensor, query: Tensor) -> Tensor:
        """Decode every pair."""
        hidden = self.latent(latent).unsqueeze(1) + self.query(query).unsqueeze(0)
        return self.out(self.torso(torch.relu(hidden)))


class TransitionDecoder(nn.Module):
    """Standardised features of transitions (state, action, next state) `[Q, M, ...]`."""

    def __init__(self, spec: EnvSpec) -> None:
        super().__init__()
        self.action = build_encoder(spec.action)
        self.before = ObservationEncoder(spec.observation, self.action.out_dim)
        self.after = ObservationEncoder(spec.observation)
        self.inputs_before = Inputs(self.before.out_dim, self.before.image)
        self.inputs_after = Inputs(self.after.out_dim, self.after.image)

    def features_before(self, obs: Observation, action: Tensor) -> Tensor:
        """Features `[Q, M, F]` of states and actions."""
        return self.inputs_before(self.before(obs, self.action(action)))

    def features_after(self, next_obs: Observation) -> Tensor:
        """Features `[Q, M, F]` of next states."""
        return self.inputs_after(self.after(next_obs))

    def take_statistics(
        self, obs: Observation, action: Tensor, next_obs: Observation, active: Tensor
    ) -> None:
        """Update the standardisation of transitions with new ones `[T, M, ...]`."""
        self.inputs_before.take_in(self.before(obs, self.action(action)), active)
        self.inputs_after.take_in(self.after(next_obs), active)


class RewardDecoder(TransitionDecoder):
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
        super().__init__(spec)
        require_choice("decoder_sees", sees, ["transition", "next_state"])
        self.sees_all = sees == "transition"
        query_dim = self.inputs_after.out_dim
        query_dim += self.inputs_before.out_dim if self.sees_all else 0
        self.decode = PairDecoder(latent_dim, query_dim, hidden, 1)

    def forward(
        self, latent: Tensor, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """Predict the rewards `[L, Q, M]` of transitions `[Q, M, ...]` from latents `[L, M, Z]`."""
        query = self.features_after(next_obs)
        if self.sees_all:
            query = torch.cat([self.features_before(obs, action), query], -1)
        return self.decode(latent, query).squeeze(-1)


class StateDecoder(TransitionDecoder):
    """Predicts the next state from state and action in a latent task.

    What it predicts is the next observation's features (not their change) standardised by what has
    been seen of them: their units and number do not matter.

    Args:
        spec: the environment; its observations are without images.
        latent_dim: size Z.
        hidden: layer sizes, two or more.
    """

    def __init__(self, spec: EnvSpec, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__(spec)
        if self.after.image is not None:
            raise ValueError("state_weight: next states are images, which are not decoded; use 0")
        self.decode = PairDecoder(
            latent_dim, self.inputs_before.out_dim, hidden, self.inputs_after.out_dim
        )

    def forward(self, latent: Tensor, obs: Observation, action: Tensor) -> Tensor:
        """Predict standardised next states `[L, Q, M, F]` of `[Q, M, ...]` from `[L, M, Z]`."""
        return self.decode(latent, self.features_before(obs, action))

    def loss(
        self, latent: Tensor, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """Return the squared error `[L, Q, M]`, a mean over the features of the next state."""
        error = self(latent, obs, action) - self.features_after(next_obs)
        return error.square().mean(-1)


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
