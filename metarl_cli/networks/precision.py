"""The precision in which networks multiply: parameters, losses and updates stay float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from metarl_cli.core.networks import Precision

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which networks on a device compute in the given precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])
