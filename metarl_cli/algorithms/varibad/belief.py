"""Beliefs about the hidden task: a Gaussian over a latent, from what was seen of a trial."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core.checks import require_positive
from metarl_cli.core.types import EnvSpec, TimeStep
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.memory import State
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.policies import TorsoFactory
from metarl_cli.networks.recurrent import TimeStepEncoder, with_memory

LOG_STD_RANGE = (-10.0, 2.0)


class BeliefEncoder(nn.Module):
    """A memory with a Gaussian head, q(z | trial so far): step form and sequence form."""

    def __init__(self, spec: EnvSpec, network: TorsoFactory, latent_dim: int) -> None:
        super().__init__()
        require_positive(latent_dim=latent_dim)
        self.encoder = TimeStepEncoder(spec)
        self.inputs = Inputs(self.encoder.out_dim, self.encoder.image)
        self.memory = with_memory(network, self.inputs.out_dim)
        self.head = initialised_linear(self.memory.out_dim, 2 * latent_dim)

    def step(self, step: TimeStep, state: State) -> tuple[DiagonalGaussian, State]:
        """Take in one step `[B]`; return the belief `[B, Z]` and the memory after it."""
        features, state = self.memory.step(self.inputs(self.encoder(step)), state, step.active)
        return self._belief(features), state

    def sequence(self, step: TimeStep) -> DiagonalGaussian:
        """Return the belief `[T, B, Z]` after each step of whole trials `[T, B]`."""
        inputs = self.inputs(self.encoder(step))
        return self._belief(self.memory.sequence(inputs, step.active))

    @torch.no_grad()
    def take_statistics(self, step: TimeStep) -> None:
        """Update the standardisation of inputs with new trials `[T, B]`."""
        self.inputs.take_in(self.encoder(step), step.active)

    def _belief(self, features: Tensor) -> DiagonalGaussian:
        mean, log_std = self.head(features).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_std.clamp(*LOG_STD_RANGE))
