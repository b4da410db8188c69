"""Several processes as one: what they share when they learn together.

Each process simulates its own block of the tasks of a meta-batch and computes its share of every
mean. All else (parameters, random streams, counters, experience) is the same in all of them, and
what it would be in one process: numbers for the rows of a batch are drawn for all rows by every
process, which then takes its own. A collective call must be made by all processes, in one order.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

from metarl_cli.core import tree
from metarl_cli.core.errors import RunError

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # set by torchrun and its like
PATIENCE = timedelta(days=1)  # the first process evaluates while the others wait

Tree = TypeVar("Tree")
_alone = False


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Learn, within the block, with the other processes that a launcher has started, if any."""
    launched = all(name in os.environ for name in LAUNCHED)
    if not launched or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(processes_here()[0])
        backend = "cpu:gloo,cuda:nccl"
    with _all_alive():
        distributed.init_process_group(backend, timeout=PATIENCE)
    yield
    distributed.destroy_process_group()  # after an error the process ends anyway


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Do something, within the block, that the other processes have no part in."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def num_processes() -> int:
    """Return how many processes learn together; 1 unless there are others."""
    if _alone or not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size()


def rank() -> int:
    """Return the number of this process among those that learn together, from 0."""
    return 0 if num_processes() == 1 else distributed.get_rank()


def processes_here() -> tuple[int, int]:
    """Return the number of this process among those of its machine, and how many these are."""
    number, count = (os.environ.get(name) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    return int(number or 0), int(count or 1)


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their means over processes, with one message for all; alone, do nothing.

    Every process gives tensors of the same shapes in the same order.
    """
    if (num := num_processes()) == 1:
        return
    shared = list(tensors)
    message = total(torch.cat([x.flatten() for x in shared]))
    pieces = (message / num).split([x.numel() for x in shared])
    for x, piece in zip(shared, pieces, strict=True):
        x.copy_(piece.view_as(x))


def average_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the means over processes of numbers by name, the same names in each."""
    values = torch.tensor(list(metrics.values()), dtype=torch.float64, device="cpu")
    average([values])
    return dict(zip(metrics, values.tolist(), strict=True))


def mean(x: Tensor) -> Tensor:
    """Return the mean over processes, without a gradient; alone, `x` itself."""
    return x if num_processes() == 1 else total(x) / num_processes()


def total(x: Tensor) -> Tensor:
    """Return the sum over processes, without a gradient; alone, `x` itself."""
    if num_processes() == 1:
        return x
    message = x.detach().clone(memory_format=torch.contiguous_format)
    with _all_alive():
        distributed.all_reduce(message)
    return message


def largest(*numbers: int) -> list[int]:
    """Return the largest over processes of each number."""
    if num_processes() == 1:
        return list(numbers)
    message = torch.tensor(numbers, device="cpu")
    with _all_alive():
        distributed.all_reduce(message, distributed.ReduceOp.MAX)
    return message.tolist()


def wait_for_all() -> None:
    """Return when all processes have come here."""
    largest(0)


def told_by_first(text: str) -> str:
    """Return the text of process 0."""
    if num_processes() == 1:
        return text
    message: list[str] = [text]
    with _all_alive():
        distributed.broadcast_object_list(message, device=torch.device("cpu"))
    return message[0]


def gathered(parts: Tree, dim: int = 0) -> Tree:
    """Put the trees of all processes one after the other along a dimension of their leaves."""
    if num_processes() == 1:
        return parts

    def gather(x: Tensor) -> Tensor:
        x = x.contiguous()
        everyones = [torch.empty_like(x) for _ in range(num_processes())]
        with _all_alive():
            distributed.all_gather(everyones, x)
        return torch.cat(everyones, dim)

    return tree.tree_map(gather, parts)


def own_slice(num: int) -> slice:
    """Return which of `num` things, split as evenly as can be, this process works on."""
    place, processes = rank(), num_processes()
    return slice(place * num // processes, (place + 1) * num // processes)


def own_share(num: int) -> float:
    """Return `share_of` for the own slice of `num` things, without asking the others."""
    own = own_slice(num)
    return num_processes() * (own.stop - own.start) / num


def own_part(whole: Tree, dim: int = 0) -> Tree:
    """Take this process's slice of a dimension of all leaves; alone, all of it."""
    if num_processes() == 1:
        return whole

    def take(x: Tensor) -> Tensor:
        own = own_slice(x.shape[dim])
        return x.narrow(dim, own.start, own.stop - own.start)

    return tree.tree_map(take, whole)


def own_rows(rows: Tensor, width: int) -> Tensor:
    """Of rows of a batch `[..., B]`, flattened, return those that are this process's own.

    Args:
        rows: numbers in the whole batch, where blocks of `width` rows belong to each in turn.
        width: columns of this process, the same in each.

    Returns:
        Their numbers in its own batch, in the order given.
    """
    if (num := num_processes()) == 1:
        return rows
    block, place = rows // width, rows % width
    return (block // num * width + place)[block % num == rank()]


def share_of(count: Tensor | float) -> Tensor:
    """Return the factor that turns a mean over own samples into a share of the mean over all.

    The mean over processes of such shares is the mean over the samples of all of them.

    Args:
        count: number of own samples.
    """
    own = torch.as_tensor(count, dtype=torch.float32)
    return torch.ones_like(own) if num_processes() == 1 else own / mean(own).clamp(min=1e-8)


def noise_like(x: Tensor, fill: Callable[[Tensor], Tensor], of: int | None = None) -> Tensor:
    """Draw random numbers of the shape of `x`, this process's part of what one process would draw.

    Args:
        x: `[..., K]`; of its leading dimensions, flattened, the rows belong to this process.
        fill: fills a tensor in place and returns it.
        of: number of columns, of which x holds `own_slice(of)` time after time; None: x is one
            block of rows, as large as those of the others.
    """
    if (num := num_processes()) == 1:
        return fill(torch.empty_like(x))
    if of is None:
        whole = fill(x.new_empty(num, x.numel()))
        return whole[rank()].view(x.shape)
    own = own_slice(of)
    whole = fill(x.new_empty(x[..., 0].numel() // (own.stop - own.start), of, x.shape[-1]))
    return whole[:, own].reshape(x.shape)


@contextlib.contextmanager
def _all_alive() -> Iterator[None]:
    """Tell in one line that a message found nobody at the other end."""
    try:
        yield
    except RuntimeError as error:
        raise RunError("another process of this training has stopped") from error
