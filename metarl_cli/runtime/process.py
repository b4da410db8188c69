"""Settings of the process that decide speed and reproducibility."""

from __future__ import annotations

import contextlib
import ctypes
import random
from typing import Any, cast

import numpy as np
import torch

from metarl_cli.core.distributed import num_processes, processes_here
from metarl_cli.core.paths import usable_cores

_MALLOPT = {-1: 2**31 - 1, -3: 2**30}  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, malloc.h


def set_threads(threads: int) -> int:
    """Fix the number of CPU threads (0 = all usable cores, shared by processes) and return it.

    The count decides the order of floating-point sums: results are bit-exact only at one count.
    """
    count = threads or max(1, usable_cores() // processes_here()[1])
    torch.set_num_threads(count)
    return count


def keep_freed_memory() -> None:
    """Let the C library keep large freed blocks instead of returning them to the system.

    Batches of tens of megabytes come and go in every update; getting fresh pages each time costs
    a third of the time of a MAML update. Does nothing where the C library is not glibc.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for parameter, value in _MALLOPT.items():
            libc.mallopt(parameter, value)


def choose_device(device: str) -> torch.device:
    """`auto` takes CUDA where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device=cuda, but this machine has no usable CUDA device")
    return torch.device(device)


def seed_everything(seed: int) -> None:
    """Seed torch, NumPy's global generator and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state() -> dict[str, Any]:
    """State of all global random streams, in types that a safe checkpoint may hold."""
    kind, keys, position, has_gauss, gauss = cast(tuple, np.random.get_state())
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": random.getstate(),
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Undo everything drawn since `random_state`."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        if num_processes() > 1:  # each draws on a device of its own, all of them alike
            torch.cuda.set_rng_state(state["cuda"][0])
        else:
            torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


@contextlib.contextmanager
def own_random_streams(seed: int) -> Any:
    """Seed all global streams for a block, and put them back after it."""
    before = random_state()
    try:
        seed_everything(seed)
        yield
    finally:
        restore_random_state(before)
