"""Refuses sizes that cannot fit into memory, with an estimate, before anything is allocated.

All estimates are what is needed at least, so nothing is refused that would have run: what the
parameters and what was recorded of one batch of episodes take, and experience once it is full.
"""

from __future__ import annotations

import math
import os
import re
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium.spaces import Dict
from torch.overrides import TorchFunctionMode

from metarl_cli.buffers.transitions import FLOAT_BYTES
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Algorithm
from metarl_cli.core.types import EnvSpec

STEP_NUMBERS = 4  # of a step besides observation and action: reward, first, active, terminated
PARAMETER_COPIES = 2  # itself, and the one that an interrupted iteration goes back to
FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
CGROUPS = (  # limit, usage
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
ALLOCATION_FAILED = re.compile(
    r"can't allocate memory|not enough memory|out of memory|Unable to allocate"
    r"|Storage size calculation overflowed|Maximum allowed dimension|Invalid shape dimension"
    r"|array is too big|cannot allocate memory|integer multiplication overflow"
    r"|Overflow when unpacking long"
)


class Ceiling(TorchFunctionMode):
    """While networks are built, refuse the tensor with which they would no longer fit.

    Args:
        device: where they are built.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._available, self._taken = available_bytes(device), 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in FACTORIES:
            self._taken += PARAMETER_COPIES * FLOAT_BYTES * _numel(args, kwargs or {})
            require_room(self._taken, "networks and replay of these sizes", self._available)
        return func(*args, **(kwargs or {}))


@runtime_checkable
class TakesMemory(Protocol):
    """Experience that knows how large it will become."""

    def full_bytes(self, step_bytes: int) -> int:
        """Return the memory it takes once it is full, if a step of an environment takes so much."""


def step_bytes(spec: EnvSpec) -> int:
    """Return what is recorded of one step of one environment, at least."""
    spaces: Iterable[Any] = (
        spec.observation.values() if isinstance(spec.observation, Dict) else [spec.observation]
    )
    observation = sum(int(np.prod(x.shape or (1,))) * x.dtype.itemsize for x in spaces)
    action = int(np.prod(spec.action.shape or (1,)))
    return observation + FLOAT_BYTES * (action + STEP_NUMBERS)


def require_room_for_episodes(
    spec: EnvSpec, device: torch.device, *, steps: int, **counts: int
) -> None:
    """Raise a UserError unless episodes of all environments of a batch can be recorded.

    Args:
        spec: the environment.
        device: where they are kept.
        steps: of each environment.
        counts: the settings that the number of environments is the product of, dots as `__`.
    """
    environments = 1
    for count in counts.values():
        environments *= count
    factors = [f"{key.replace('__', '.')}={count}" for key, count in counts.items()]
    what = f"{' x '.join(factors)} environments of {steps:,} steps"
    require_room(environments * steps * step_bytes(spec), what, available_bytes(device))


def require_room_for_experience(algorithm: Algorithm, spec: EnvSpec) -> None:
    """Raise a UserError where replay or trial buffers could not even be reserved."""
    for name, kept in algorithm.experience().items():
        if isinstance(kept, TakesMemory):
            size = kept.full_bytes(step_bytes(spec))
            require_room(size, f"the experience of algo ({name}), once it is full,", total_bytes())


def require_room(needed: int, what: str, available: int) -> None:
    """Raise a UserError if `needed` bytes are more than are available."""
    if needed > available:
        raise UserError(
            f"{what} take at least {_gigabytes(needed)}, but there are {_gigabytes(available)} "
            "of memory: choose a smaller size"
        )


def available_bytes(device: torch.device) -> int:
    """Return the memory that this process can still get, on a device or of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_free_of_machine(), _free_of_limit(), *_free_of_groups())


def total_bytes() -> int:
    """Return the memory that this process can have at most."""
    limits = [limit for limit, _ in CGROUPS]
    of_machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([of_machine, *(size for x in limits if (size := _number_in(x)) is not None)])


def says_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that so much memory cannot be had; libraries have no common type."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    known = isinstance(error, RuntimeError | ValueError | OverflowError)
    return known and ALLOCATION_FAILED.search(str(error)) is not None


def _numel(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return how many numbers `torch.empty(2, 3)`, `torch.empty((2, 3))` or `size=` ask for."""
    size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
    return math.prod(int(n) for n in size)


def _free_of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_of_limit() -> int:
    """What `ulimit -v` leaves."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return 2**63
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(0, most - pages * os.sysconf("SC_PAGE_SIZE"))


def _free_of_groups() -> Iterable[int]:
    """What the limits of a container or a batch job leave, without its caches of files."""
    for limit_file, usage_file in CGROUPS:
        limit, usage = _number_in(limit_file), _number_in(usage_file)
        if limit is not None and usage is not None:
            yield max(0, limit - usage + _reclaimable(usage_file.with_name("memory.stat")))


def _reclaimable(path: Path) -> int:
    try:
        facts = dict(line.split() for line in path.read_text().splitlines())
        return int(facts.get("inactive_file", 0)) + int(facts.get("active_file", 0))
    except (OSError, ValueError):
        return 0


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
