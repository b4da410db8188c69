"""Torsos with memory: what an agent has seen of a trial, as an explicit value.

Each has a step form for acting and a sequence form for learning, which give the same numbers. Steps
after the end of an inner episode (`active` 0) leave no trace in the memory.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.networks import State
from metarl_cli.functional.gru import gru_sequence, prepare_loops
from metarl_cli.networks.mlp import Torso, initialised_linear

Cells = TypeVar("Cells", bound=nn.RNNBase)


class Memory(Torso):
    """Maps inputs `[..., F]` and the memory of earlier ones to features `[..., out_dim]`."""

    kind = "memory"

    @abstractmethod
    def initial_state(self, num: int) -> State:
        """Return the empty memory of `num` trials."""

    def step(self, x: Tensor, state: State, active: Tensor) -> tuple[Tensor, State]:
        """Take in one input of each trial.

        Args:
            x: `[B, F]`.
            state: memory before it.
            active: `[B]`, 0 where nothing may be remembered.

        Returns:
            Features `[B, out_dim]` and the memory after it; the one given is left alone.
        """
        features, new = self._step(x, state)
        if bool(active.all()):
            return features, new

        def choose(ours: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(active.view(-1, *[1] * (ours.dim() - 1)) > 0, ours, theirs)

        return features, tree.tree_map(choose, new, state)

    def sequence(self, x: Tensor, active: Tensor) -> Tensor:
        """Take in whole trials `[T, B, F]`, from empty memory; features `[T, B, out_dim]`.

        Active steps are moved to the front of each trial, so that one call of the fast sequence
        kernel serves trials with gaps; features of inactive steps mean nothing.
        """
        if bool(active.all()):
            return self._sequence(x)
        order = torch.argsort(active, dim=0, descending=True, stable=True)  # [T, B]
        place = torch.argsort(order, dim=0)
        rows = torch.arange(x.shape[1], device=x.device)
        return self._sequence(x[order, rows])[place, rows]

    @abstractmethod
    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take in `x` `[B, F]`."""

    @abstractmethod
    def _sequence(self, x: Tensor) -> Tensor:
        """Take in `x` `[T, B, F]`, causally."""


class GRU(Memory):
    """Gated recurrent units (Cho et al. 2014) on a linear embedding with tanh.

    Args:
        embedding: size of the embedded input.
        hidden: size of the memory.
    """

    def __init__(self, embedding: int, hidden: int, *, in_dim: int) -> None:
        super().__init__()
        self.embed = initialised_linear(in_dim, embedding)
        self.cells = _orthogonal(nn.GRU(embedding, hidden))
        prepare_loops(self.cells)
        self.out_dim = hidden

    def initial_state(self, num: int) -> Tensor:
        """Zeros `[num, hidden]`."""
        return self.embed.weight.new_zeros(num, self.out_dim)

    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        features, _ = self.cells(torch.tanh(self.embed(x)).unsqueeze(0), state.unsqueeze(0))
        return features[0], features[0]

    def _sequence(self, x: Tensor) -> Tensor:
        return gru_sequence(self.cells, torch.tanh(self.embed(x)))


class LSTM(Memory):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) on a linear embedding with tanh.

    Args:
        embedding: size of the embedded input.
        hidden: size of the output and of the cell.
    """

    def __init__(self, embedding: int, hidden: int, *, in_dim: int) -> None:
        super().__init__()
        self.embed = initialised_linear(in_dim, embedding)
        self.cells = _orthogonal(nn.LSTM(embedding, hidden))
        self.out_dim = hidden

    def initial_state(self, num: int) -> tuple[Tensor, Tensor]:
        """Zeros `[num, hidden]` twice: output and cell."""
        zeros = self.embed.weight.new_zeros(num, self.out_dim)
        return zeros, zeros.clone()

    def _step(
        self, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, cell = (part.unsqueeze(0) for part in state)
        embedded = torch.tanh(self.embed(x)).unsqueeze(0)
        features, (output, cell) = self.cells(embedded, (output, cell))
        return features[0], (output[0], cell[0])

    def _sequence(self, x: Tensor) -> Tensor:
        return self.cells(torch.tanh(self.embed(x)))[0]


def _orthogonal(cells: Cells) -> Cells:
    """Orthogonal recurrent weights and zero biases: gradients keep their size at first."""
    for name, parameter in cells.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.data.split(cells.hidden_size):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            for gate in parameter.data.split(cells.hidden_size):
                nn.init.xavier_uniform_(gate)
        else:
            nn.init.zeros_(parameter)
    return cells
