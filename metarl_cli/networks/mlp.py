"""Feed-forward torso whose parameters may be shared by all tasks or stacked, one set per task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.core.checks import require_choice, require_sizes

# In place: gradients need what an activation gives, not what it was given.
ACTIVATIONS = {"tanh": torch.tanh_, "relu": torch.relu_}

# Products of many float32 rows are faster where rows begin at a multiple of a vector register: 300
# columns take 1.4 times as long as 304. With fewer rows or columns, making room costs more.
_ALIGNED = 8  # numbers
_FEWEST_ROWS, _NARROWEST = 1024, 128


class Linear(nn.Linear):
    """Linear layer that also takes stacked parameters: `[N, out, in]` maps `[N, M, in]`.

    One batched matrix product then serves all tasks, several times faster than `vmap` when acting.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map `[..., in]` (shared) or `[N, M, in]` (stacked) to `[..., out]`."""
        return _affine(input, self.weight, self.bias)


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if weight.dim() == 2:
        return functional.linear(x, weight, bias)
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def initialised_linear(in_dim: int, out_dim: int, gain: float = 1.0) -> Linear:
    """Linear layer with Xavier-uniform weights and zero bias."""
    layer = Linear(in_dim, out_dim)
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


class Torso(nn.Module):
    """Maps features to `[..., out_dim]`; `kind` says whether it has memory."""

    kind: ClassVar[str]
    out_dim: int


class MLP(Torso):
    """Hidden layers `[..., in_dim] -> [..., out_dim]`; heads are added by the algorithm."""

    kind = "feed-forward"

    def __init__(
        self, hidden: Sequence[int], activation: Literal["tanh", "relu"], *, in_dim: int
    ) -> None:
        super().__init__()
        require_sizes("hidden", hidden)
        require_choice("activation", activation, list(ACTIVATIONS))
        sizes = [in_dim, *hidden]
        self.layers = nn.ModuleList(initialised_linear(i, o) for i, o in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]
        self.out_dim = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map features to hidden activations."""
        aligned = _gains_by_alignment(x)
        for layer in self.layers:
            assert isinstance(layer, Linear)
            x = self.activation(_aligned(layer, x) if aligned else layer(x))
        return x[..., : self.out_dim] if x.shape[-1] > self.out_dim else x


def _gains_by_alignment(x: Tensor) -> bool:
    """Whether there are many rows, float32, on a CPU."""
    many = x.dim() > 1 and x.shape[-2] >= _FEWEST_ROWS
    return many and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def _aligned(layer: Linear, x: Tensor) -> Tensor:
    """The outputs of a layer, followed by zeros up to an aligned width.

    The parameters keep their shapes: zeros are put around the weights in each product.

    Args:
        layer: with shared or stacked parameters.
        x: `[..., in]`, or wider by zeros: what this function returned, activated.
    """
    extra = -layer.out_features % _ALIGNED if layer.out_features >= _NARROWEST else 0
    missing = x.shape[-1] - layer.in_features
    if not extra and not missing:
        unchanged: Tensor = layer(x)
        return unchanged
    weight = functional.pad(layer.weight, (0, missing, 0, extra))
    return _affine(x, weight, functional.pad(layer.bias, (0, extra)))
