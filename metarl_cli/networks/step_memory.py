"""A memory of time steps: encoder, standardised inputs and a recurrent torso in one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.networks import Features, Network, Precision, State
from metarl_cli.core.types import EnvSpec, TimeStep


class StepMemory(nn.Module):
    """Takes in steps one by one or as whole sequences; heads are added by who uses it.

    It sees observation, previous action, previous reward, and whether an episode begins (Duan et
    al. 2016, arXiv:1611.02779, section 2.2).

    Args:
        spec: the environment.
        network: makes the memory.
        precision: in which images are looked at.
    """

    def __init__(self, spec: EnvSpec, network: Network, precision: Precision = "float32") -> None:
        super().__init__()
        self.encode_action = network.encoder(spec.action)
        self.inputs = network.inputs(spec.observation, self.encode_action.out_dim + 2, precision)
        self.memory = network.memory(self.inputs.out_dim)
        self.out_dim = self.memory.out_dim

    def initial_state(self, num: int) -> State:
        """Return the empty memory of `num` environments."""
        return self.memory.initial_state(num)

    def encode(self, step: TimeStep) -> Features:
        """Return raw features of steps of any leading shape."""
        signals = torch.stack([step.prev_reward, step.first], -1)
        return self.inputs.encode(step.obs, self.encode_action(step.prev_action), signals)

    def look(self, step: TimeStep) -> Tensor:
        """Return what the memory takes in of steps `[...]`: `[..., inputs.out_dim]`."""
        return self.inputs(self.encode(step))

    def step(self, step: TimeStep, state: State) -> tuple[Tensor, State]:
        """Take in one step `[B]`; return features `[B, out_dim]` and the memory after it."""
        return self.memory.step(self.look(step), state, step.active)

    def sequence(self, step: TimeStep) -> Tensor:
        """Take in sequences `[T, B]` from empty memory; features `[T, B, out_dim]`."""
        if self.inputs.image is None:
            return self.memory.sequence(self.look(step), step.active)
        seen = step.active > 0  # images are dear: nothing else is looked at
        looked_at = self.look(tree.index(step, seen))
        x = looked_at.new_zeros(*seen.shape, looked_at.shape[-1])
        return self.memory.sequence(x.masked_scatter(seen.unsqueeze(-1), looked_at), step.active)

    @torch.no_grad()
    def update_statistics(self, step: TimeStep) -> None:
        """Let sequences `[T, B]` count for the standardisation of inputs."""
        self.inputs.update_statistics(self.encode(step), step.active)
