"""A memory of time steps: encoder, standardised inputs and a recurrent torso in one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.types import EnvSpec, TimeStep
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.memory import State
from metarl_cli.networks.policies import TorsoFactory
from metarl_cli.networks.precision import Precision, autocast
from metarl_cli.networks.recurrent import TimeStepEncoder, with_memory


class StepMemory(nn.Module):
    """Takes in steps one by one or as whole sequences; heads are added by who uses it.

    Args:
        spec: the environment.
        network: makes the memory.
        precision: in which images are looked at.
    """

    def __init__(self, spec: EnvSpec, network: TorsoFactory, precision: Precision) -> None:
        super().__init__()
        self.precision = precision
        self.encoder = TimeStepEncoder(spec)
        self.inputs = Inputs(self.encoder.out_dim, self.encoder.image)
        self.memory = with_memory(network, self.inputs.out_dim)
        self.out_dim = self.memory.out_dim

    def initial_state(self, num: int) -> State:
        """Return the empty memory of `num` environments."""
        return self.memory.initial_state(num)

    def step(self, step: TimeStep, state: State) -> tuple[Tensor, State]:
        """Take in one step `[B]`; return features `[B, out_dim]` and the memory after it."""
        return self.memory.step(self._inputs(step), state, step.active)

    def sequence(self, step: TimeStep) -> Tensor:
        """Take in sequences `[T, B]` from empty memory; features `[T, B, out_dim]`."""
        seen = step.active > 0  # images are dear: nothing else is looked at
        inputs = self._inputs(tree.index(step, seen))
        x = inputs.new_zeros(*seen.shape, inputs.shape[-1])
        return self.memory.sequence(x.masked_scatter(seen.unsqueeze(-1), inputs), step.active)

    @torch.no_grad()
    def take_statistics(self, step: TimeStep) -> None:
        """Update the standardisation of inputs with new sequences `[T, B]`."""
        self.inputs.take_in(self.encoder(step), step.active)

    def _inputs(self, step: TimeStep) -> Tensor:
        with autocast(self.precision, step.first.device):
            return self.inputs(self.encoder(step)).float()
