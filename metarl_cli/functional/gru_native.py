"""The recurrence of `gru.py` by the loops of `gru.c`, forwards and backwards."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from metarl_cli.functional.native import native_library

SOURCE = Path(__file__).with_name("gru.c")


def _structure(name: str, arrays: str) -> type[ctypes.Structure]:
    sizes = [(size, ctypes.c_long) for size in ("steps", "batch", "size")]
    fields = sizes + [(array, ctypes.c_void_p) for array in arrays.split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


_FORWARD = _structure("Forward", "inputs weight bias states gates new mapped")
_BACKWARD = _structure("Backward", "gradient weight states gates new mapped of_inputs of_new later")


def gru_library() -> ctypes.CDLL | None:
    """Return the loops, if they can be had."""
    return native_library(SOURCE)


def native_recurrence(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor | None:
    """Return the states `[T, B, H]` from 0 on, or None where the loops cannot do it.

    Args:
        inputs: of the gates reset, update and new, `[T, B, 3 H]`.
        weight: of the state before, `[3 H, H]`.
        bias: `[3 H]`.
    """
    if not (inputs.is_cpu and inputs.dtype == weight.dtype == torch.float32):
        return None
    library = gru_library()
    if library is None or weight.shape[1] % library.width():
        return None
    if torch.is_grad_enabled():
        states: Tensor = _Recurrence.apply(inputs, weight, bias)
        return states
    return _forward(library, inputs, weight, bias, *[None] * 3)[1:]


class _Recurrence(torch.autograd.Function):
    """See `gru.py`, whose gradients these are."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        (steps, batch), size = inputs.shape[:2], weight.shape[1]
        gates = inputs.new_empty(steps, batch, 2 * size)
        new, mapped = (inputs.new_empty(steps, batch, size) for _ in range(2))
        ctx.library = gru_library()
        states = _forward(ctx.library, inputs, weight, bias, gates, new, mapped)
        ctx.save_for_backward(weight, states, gates, new, mapped)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, states, gates, new, mapped = ctx.saved_tensors
        (steps, batch, size), width = new.shape, ctx.library.width()
        of_inputs, of_new = new.new_empty(steps, batch, 3 * size), torch.empty_like(new)
        packed = weight.view(3 * size, -1, width).transpose(0, 1).contiguous()
        arrays = (gradient.contiguous(), packed, states, gates, new, mapped, of_inputs, of_new)
        _call(ctx.library.backward, _BACKWARD, new.shape, *arrays, torch.zeros_like(new[0]))

        before, of_gates = states[:-1].view(-1, size), of_inputs.view(-1, 3 * size)[:, : 2 * size]
        of_map, of_weight = of_new.view(-1, size), torch.empty_like(weight)
        torch.mm(of_gates.t(), before, out=of_weight[: 2 * size])
        torch.mm(of_map.t(), before, out=of_weight[2 * size :])
        return of_inputs, of_weight, torch.cat([of_gates.sum(0), of_map.sum(0)])


def _forward(
    library: ctypes.CDLL, inputs: Tensor, weight: Tensor, bias: Tensor, *kept: Tensor | None
) -> Tensor:
    """Return the states `[T + 1, B, H]`, the first of them 0; fill what is kept for backward."""
    (steps, batch), size, lanes = inputs.shape[:2], weight.shape[1], library.lanes()
    states = inputs.new_empty(steps + 1, batch, size)
    states[0] = 0
    packed = weight.view(3, -1, lanes, size).permute(1, 3, 0, 2).contiguous()
    arrays = (inputs.contiguous(), packed, bias.contiguous(), states, *kept)
    _call(library.forward, _FORWARD, (steps, batch, size), *arrays)
    return states


def _call(function: Any, structure: Any, sizes: tuple[int, ...], *arrays: Tensor | None) -> None:
    pointers = [None if x is None else x.data_ptr() for x in arrays]
    function(ctypes.byref(structure(*sizes, *pointers)), torch.get_num_threads())
