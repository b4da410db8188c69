"""Several processes as one: what they share when they learn together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def num_processes() -> int:
    """Return how many processes learn together; 1 unless torch.distributed was set up."""
    alone = not distributed.is_available() or not distributed.is_initialized()
    return 1 if alone else distributed.get_world_size()


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their means over processes, with one message for all; alone, do nothing.

    Every process gives tensors of the same shapes in the same order.
    """
    if (num := num_processes()) == 1:
        return
    shared = list(tensors)
    message = torch.cat([x.flatten() for x in shared])
    distributed.all_reduce(message)
    pieces = (message / num).split([x.numel() for x in shared])
    for x, piece in zip(shared, pieces, strict=True):
        x.copy_(piece.view_as(x))
