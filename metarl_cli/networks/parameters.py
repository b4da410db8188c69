"""All parameters of a module as one vector, or one vector per task."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flatten_parameters(module: nn.Module) -> Tensor:
    """Copy the parameters into one vector `[P]`."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def named_entries(module: nn.Module, *names: str) -> Tensor:
    """Vector `[P]` that is 1 at the parameters with these names and 0 at all others."""
    return torch.cat(
        [torch.full_like(p, name in names).flatten() for name, p in module.named_parameters()]
    ).detach()


def unflatten(module: nn.Module, flat: Tensor) -> dict[str, Tensor]:
    """Split vectors `[..., P]` into named parameters `[..., *shape]` (views, differentiable)."""
    named = dict(module.named_parameters())
    pieces = flat.split([p.numel() for p in named.values()], dim=-1)
    lead = flat.shape[:-1]
    return {
        name: piece.reshape(*lead, *p.shape)
        for (name, p), piece in zip(named.items(), pieces, strict=True)
    }


@torch.no_grad()
def load_flat(module: nn.Module, flat: Tensor) -> None:
    """Write a vector `[P]` into the parameters."""
    for (_, parameter), value in zip(
        module.named_parameters(), unflatten(module, flat).values(), strict=True
    ):
        parameter.copy_(value)


@torch.no_grad()
def follow(target: nn.Module, model: nn.Module, rate: float) -> None:
    """Move the parameters of a target network by `rate` of the way to those of the model."""
    theirs: list[Tensor] = list(target.parameters())
    ours: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(theirs, ours, rate)
