"""Gated recurrent units with a backward pass by hand: on CPUs faster than `torch.nn.GRU`.

The steps are loops in C where these can be had (`native`), otherwise operations of torch. There,
what does not depend on later gradients is computed for all steps at once, and weight gradients are
one matrix product; a step backwards in time is left with one small product and three additions or
multiplications. The forward pass is that of `torch.nn.GRU`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from metarl_cli.functional.gru_native import gru_library, native_recurrence


def gru_sequence(cells: nn.GRU, x: Tensor) -> Tensor:
    """Return the states `[T, B, H]` of one-layer `cells` after each input of `[T, B, F]`, from 0.

    Same numbers as `cells(x)[0]`, up to rounding; gradients of first order only.
    """
    if not x.is_cpu:
        return cells(x)[0]
    of_input, of_state, input_bias, state_bias = cells.parameters()
    inputs = nn.functional.linear(x, of_input, input_bias)
    states: Tensor | None = native_recurrence(inputs, of_state, state_bias)
    if states is not None:
        return states
    if torch.is_grad_enabled():
        states = _Recurrence.apply(inputs, of_state, state_bias)
        return states
    return cells(x)[0]


def prepare_loops(cells: nn.GRU) -> None:
    """Compile now what `gru_sequence` may need later, so that the record of a run can say it."""
    if cells.weight_hh_l0.is_cpu:
        gru_library()


class _Recurrence(torch.autograd.Function):
    """From the gates' inputs `[T, B, 3H]` (reset, update, new) to the states.

    r = sigmoid(.), z = sigmoid(.), n = tanh(i_n + r * m), h' = (1 - z) n + z h, where m is the
    linear map of h that belongs to n.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        steps, envs, size = *inputs.shape[:2], weight.shape[1]
        states = inputs.new_zeros(steps + 1, envs, size)
        mapped, gates = torch.empty_like(inputs), inputs.new_empty(steps, envs, 2 * size)
        new = inputs.new_empty(steps, envs, size)
        transposed = weight.t().contiguous()
        sizes = [2 * size, size]
        of_gates, of_new = inputs.split(sizes, -1)
        map_gates, map_new = mapped.split(sizes, -1)
        reset, update = gates.chunk(2, -1)
        views = (of_gates, of_new, mapped, map_gates, map_new, gates, reset, update, new)
        steps_of = (view.unbind() for view in (*views, states[:-1], states[1:]))
        for i_rz, i_n, m, m_rz, m_n, rz, r, z, n, before, after in zip(*steps_of, strict=True):
            torch.addmm(bias, before, transposed, out=m)
            torch.add(i_rz, m_rz, out=rz).sigmoid_()
            torch.addcmul(i_n, r, m_n, out=n).tanh_()
            torch.lerp(n, before, z, out=after)
        ctx.save_for_backward(weight, states, gates, new, map_new)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, states, gates, new, mapped = ctx.saved_tensors
        (steps, envs, size), before = new.shape, states[:-1]
        reset, update = gates.chunk(2, -1)
        # d h' / d (what W h adds to reset, update, new), later multiplied by the gradient of h'
        local = new.new_empty(steps, envs, 3, size)
        to_reset, to_update, to_new = local.unbind(2)
        to_input = (1 - new.square()).mul_(1 - update)
        torch.mul(to_input, reset, out=to_new)
        torch.mul(to_new, mapped, out=to_reset).mul_(1 - reset)
        torch.sub(before, new, out=to_update).mul_(update).mul_(1 - update)

        total, later = torch.empty_like(new), torch.zeros_like(new[0])
        of_maps = local.view(steps, envs, 3 * size)
        views = (gradient, total, total.unsqueeze(2), local, of_maps, update)
        steps_of = [view.unbind()[::-1] for view in views]
        for given, sum_, for_gates, of_gates, of_map, z in zip(*steps_of, strict=True):
            torch.add(given, later, out=sum_)
            of_gates.mul_(for_gates)
            later = torch.addmm(sum_ * z, of_map, weight)

        flat = of_maps.view(-1, 3 * size)
        of_weight, of_bias = flat.t() @ before.reshape(-1, size), flat.sum(0)
        torch.mul(total, to_input, out=to_new)
        return of_maps, of_weight, of_bias
