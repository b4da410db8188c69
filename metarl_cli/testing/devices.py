"""Where the contract tests of algorithms run: on the CPU, and with `-m gpu` on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar

import pytest
import torch

DEVICE = ContextVar("device", default="cpu")
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True, params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Build algorithms and samplers there."""
    before = DEVICE.set(request.param)
    yield
    DEVICE.reset(before)
