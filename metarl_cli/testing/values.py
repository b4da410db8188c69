"""All that a state holds, to be compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def tensors_of(value: Any) -> list[Tensor]:
    """Return all tensors reachable from a state: dataclasses, containers and modules."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, torch.nn.Module | torch.optim.Optimizer):
        return tensors_of(value.state_dict())
    if isinstance(value, dict):
        return [x for item in value.values() for x in tensors_of(item)]
    if isinstance(value, list | tuple):
        return [x for item in value for x in tensors_of(item)]
    return tensors_of(vars(value)) if hasattr(value, "__dict__") else []


def all_equal(ours: Any, theirs: Any) -> bool:
    """Tell whether two states hold the same tensors, bit for bit."""
    ours, theirs = tensors_of(ours), tensors_of(theirs)
    return len(ours) == len(theirs) and all(a.equal(b) for a, b in zip(ours, theirs, strict=True))
