"""Equally built modules side by side, as one with stacked parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def stack_copies(module: ModuleT, num: int) -> ModuleT:
    """Turn every parameter and buffer into `num` independent copies along a new first dimension."""
    return stack_modules([module] * num)


def stack_modules(modules: Sequence[ModuleT]) -> ModuleT:
    """Stack parameters and buffers of equally built modules along a new first dimension.

    Modules built of `mlp.Linear`, `GaussianHead` and `Normalizer` then map `[num, M, ...]` inputs,
    row g with the parameters of module g. The first module is changed and returned.
    """
    first = modules[0]
    for children in zip(*(list(module.modules()) for module in modules), strict=True):
        for name, _ in list(children[0].named_parameters(recurse=False)):
            values = [getattr(child, name).detach() for child in children]
            setattr(children[0], name, nn.Parameter(torch.stack(values)))
        for name, _ in list(children[0].named_buffers(recurse=False)):
            buffers = [getattr(child, name) for child in children]
            children[0].register_buffer(name, torch.stack(buffers))
    return first
