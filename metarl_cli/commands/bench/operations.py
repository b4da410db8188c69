"""Which torch operations learning spends its time in, those of acting left out."""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from metarl_cli.core.protocols import Algorithm, Sampler

MATRIX = re.compile(
    "mm|addmm|_addmm_activation|bmm|baddbmm|addbmm|mv|addmv|dot"
    "|.*convolution.*|.*_rnn.*|mkldnn_linear.*|.*attention.*"
)
OTHERS = 5  # operations named beside matrix products


class Operations(TorchDispatchMode):
    """While entered, adds up seconds and FLOPs of each operation, forwards and backwards.

    An operation is what reaches a kernel: `linear` is an `addmm`. A few microseconds of Python are
    part of each, so small operations look a little dearer than they are. Unlike torch's profiler,
    whose events of one recurrent update fill gigabytes, it keeps one number for each operation.

    Attributes:
        seconds: by the name of the operation.
        flops: of matrix products, by the type of their numbers, e.g. "bfloat16".
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self.flops: dict[str, int] = defaultdict(int)
        self._asynchronous = device.type == "cuda"
        self._measuring = True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._measuring or func.namespace == "profiler":
            return func(*args, **kwargs)
        start = self._now()
        result = func(*args, **kwargs)
        self.seconds[func.overloadpacket.__name__] += self._now() - start
        if count := flop_registry.get(func.overloadpacket):
            numbers = str(args[0].dtype).removeprefix("torch.")
            self.flops[numbers] += count(*args, **kwargs, out_val=result)
        return result

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what happens in a block."""
        self._measuring = False
        try:
            yield
        finally:
            self._measuring = True

    def _now(self) -> float:
        if self._asynchronous:
            torch.cuda.synchronize()
        return time.perf_counter()


class _Unmeasured:
    """A sampler whose runs do not count."""

    def __init__(self, sampler: Sampler, operations: Operations) -> None:
        self._sampler, self._operations = sampler, operations

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def run(self, *args: Any, **settings: Any) -> Any:
        with self._operations.paused():
            return self._sampler.run(*args, **settings)


def operations_of_learning(
    algorithm: Algorithm, sampler: Sampler, device: torch.device
) -> Operations:
    """Do one training iteration; return what was done outside `sampler.run`."""
    operations = Operations(device)
    unmeasured: Any = _Unmeasured(sampler, operations)
    with operations:
        algorithm.train_step(unmeasured)
    return operations


def describe(seconds: dict[str, float]) -> str:
    """Say in a line what share is matrix products, and which other operations are dearest."""
    others = {name: x for name, x in seconds.items() if not MATRIX.fullmatch(name)}
    dearest = sorted(others, key=others.__getitem__, reverse=True)[:OTHERS]
    total = sum(seconds.values())
    products = 1 - sum(others.values()) / total
    named = ", ".join(f"{name} {others[name] / total:.0%}" for name in dearest)
    return f"time in operations of learning: {products:.0%} matrix products; {named}"
