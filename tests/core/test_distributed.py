"""Two real processes that learn as one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.testing import assert_close

from metarl_cli.core import distributed as shared
from metarl_cli.core.distributed import (
    average,
    average_metrics,
    gathered,
    largest,
    mean,
    noise_like,
    num_processes,
    own_part,
    own_rows,
    own_share,
    share_of,
    told_by_first,
    total,
)
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.learners.gradient_step import GradientStep


def learner() -> tuple[nn.Linear, GradientStep]:
    """Two weights and a bias, all zero, and steps of size 1 whose norm is at most 2.5."""
    net = nn.Linear(2, 1)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    sgd = torch.optim.SGD(net.parameters(), lr=1.0)
    return net, GradientStep(sgd, "the toy", max_grad_norm=2.5)


def learn(rank: int, folder: Path) -> None:
    """What each process does; process 0 has the gradient (6, 0), process 1 (0, 8)."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=100),
    )
    try:
        tensors = [torch.full((2, 2), float(rank)), torch.tensor(10.0 * rank)]
        average(tensors)
        net, step = learner()
        x = torch.tensor([[6.0, 0.0], [0.0, 8.0]])[rank]
        norm = step.apply((net.weight * x).sum())["grad_norm"]
        moved, refused = net.weight.detach().clone(), False
        try:
            step.apply(net.weight.sum() * (torch.nan if rank else 1.0))
        except NonFiniteError:
            refused = net.weight.equal(moved)
        seen = {"num": num_processes(), "shared": tensors, "norm": norm, "moved": moved}
        seen |= {
            "total": total(torch.tensor([1, rank])),
            "mean": mean(torch.tensor(float(rank))),
            "metrics": average_metrics({"a": 3.0, "b": float(rank)}),
            "largest": largest(rank, 5 - rank),
            "gathered": gathered(
                {"x": torch.tensor([[rank], [rank + 2]]), "y": x[None] > 0}, dim=1
            ),
            "share": share_of(3.0 - 2.0 * rank),
            "told": told_by_first(f"process {rank}"),
        }
        torch.save(seen | {"refused": refused}, folder / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()


def test_two_processes_step_by_the_mean_of_their_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    other = multiprocessing.get_context("spawn").Process(target=learn, args=(1, tmp_path))
    other.start()
    learn(0, tmp_path)
    other.join()
    assert other.exitcode == 0
    for rank in range(2):
        seen = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert seen["num"] == 2
        assert [x.tolist() for x in seen["shared"]] == [[[0.5, 0.5], [0.5, 0.5]], 5.0]
        assert seen["norm"] == 5.0  # of the mean (3, 4)
        assert_close(seen["moved"], torch.tensor([[-1.5, -2.0]]), atol=1e-5, rtol=0)
        assert seen["total"].tolist() == [2, 1] and seen["mean"] == 0.5
        assert seen["metrics"] == {"a": 3.0, "b": 0.5} and seen["largest"] == [1, 5]
        assert seen["gathered"]["x"].tolist() == [[0, 1], [2, 3]]
        assert seen["gathered"]["y"].tolist() == [[True, False, False, True]]
        assert seen["share"] == [1.5, 0.5][rank]  # of 4 samples, beside 2 on the average
        assert seen["told"] == "process 0"
        assert seen["refused"]  # by both, though the gradient of one alone is not a number


def test_alone_nothing_happens() -> None:
    tensors = [torch.tensor([1.0, 2.0]), torch.tensor(3.0)]
    average(tensors)
    assert num_processes() == 1
    assert [x.tolist() for x in tensors] == [[1.0, 2.0], 3.0]


def in_turn(monkeypatch: pytest.MonkeyPatch, num: int) -> Iterator[int]:
    """Be each of several processes, one after the other."""
    monkeypatch.setattr(shared, "num_processes", lambda: num)
    for place in range(num):
        monkeypatch.setattr(shared, "rank", lambda place=place: place)
        yield place


def test_parts_of_processes_make_up_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.arange(14).view(2, 7)
    parts = [own_part(whole, 1) for _ in in_turn(monkeypatch, 3)]
    assert [part.shape[1] for part in parts] == [2, 2, 3]
    assert torch.cat(parts, 1).equal(whole)
    assert sum(own_share(7) for _ in in_turn(monkeypatch, 3)) == pytest.approx(3.0)


@pytest.mark.parametrize(("shape", "of"), [((6, 2), None), ((4, 7, 2), 7), ((4 * 6, 2), 6)])
def test_noise_of_processes_is_that_of_one(
    shape: tuple[int, ...], of: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of rows; columns of `[time, column]`; the same, flattened."""
    whole = torch.zeros(shape)
    by_column = whole if of is None else whole.view(-1, of, 2).transpose(0, 1)
    torch.manual_seed(0)
    expected = noise_like(whole, torch.Tensor.normal_).view(-1, of or len(whole), 2)
    drawn = []
    for _ in in_turn(monkeypatch, 3):
        torch.manual_seed(0)
        own = own_part(by_column).transpose(0, 1) if of else own_part(whole)
        like = own.reshape(*shape[:-2], -1, 2) if len(shape) == 3 else own.reshape(-1, 2)
        drawn.append(noise_like(like, torch.Tensor.normal_, of).reshape(len(expected), -1, 2))
    assert torch.cat(drawn, 1).equal(expected)


def test_rows_of_a_batch_are_found_in_the_process_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two steps of six columns, of which each of three processes has two."""
    batch, order = torch.arange(12).view(2, 6), torch.tensor([7, 0, 3, 11, 5, 1])
    chosen = [
        own_part(batch, 1).flatten()[own_rows(order, width=2)].tolist()
        for _ in in_turn(monkeypatch, 3)
    ]
    assert chosen == [[7, 0, 1], [3], [11, 5]]
