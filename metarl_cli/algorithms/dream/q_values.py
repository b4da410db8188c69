"""Action values on what has been seen of an episode."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import Network, Precision, State
from metarl_cli.core.types import EnvSpec, TimeStep
from metarl_cli.networks.mlp import MLP, initialised_linear
from metarl_cli.networks.step_memory import StepMemory


class RecurrentQ(nn.Module):
    """Q(history, a), or Q(history, z, a): a memory, a trunk that sees z too, and dueling heads.

    Q = V + A - mean A (Wang et al. 2016, arXiv:1511.06581, Equation 9).

    Args:
        spec: the environment; its actions are discrete.
        network: makes the memory.
        hidden: layer sizes of the trunk.
        precision: in which images are looked at.
        latent_dim: Z; 0: there is none.
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: Network,
        hidden: Sequence[int],
        precision: Precision,
        latent_dim: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(spec.action, Discrete):
            raise UserError(f"env: action values need discrete actions, got {spec.action}")
        self.memory = StepMemory(spec, network, precision)
        self.trunk = MLP(hidden, "relu", in_dim=self.memory.out_dim + latent_dim)
        self.value = initialised_linear(self.trunk.out_dim, 1)
        self.advantage = initialised_linear(self.trunk.out_dim, int(spec.action.n))

    def step(
        self, step: TimeStep, state: State, latent: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Take in one step `[B]`; return values `[B, A]` and the memory after it."""
        remembered, state = self.memory.step(step, state)
        return self._values(remembered, latent), state

    def sequence(self, step: TimeStep, latent: Tensor | None = None) -> Tensor:
        """Values `[T, B, A]` at each step of whole episodes `[T, B]`; one z `[B, Z]` for each."""
        return self._values(self.memory.sequence(step), latent)

    def _values(self, remembered: Tensor, latent: Tensor | None) -> Tensor:
        if latent is not None:
            latent = latent.expand(*remembered.shape[:-1], -1)
            remembered = torch.cat([remembered, latent], -1)
        hidden = self.trunk(remembered)
        advantage = self.advantage(hidden)
        return self.value(hidden) + advantage - advantage.mean(-1, keepdim=True)
