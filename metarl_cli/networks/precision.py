"""The precision in which networks multiply: parameters, losses and updates stay float32."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Context in which networks on a device compute in the given precision."""
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
