"""Two real processes that learn as one."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.testing import assert_close

from metarl_cli.core.distributed import average, num_processes
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
        shared = [torch.full((2, 2), float(rank)), torch.tensor(10.0 * rank)]
        average(shared)
        net, step = learner()
        x = torch.tensor([[6.0, 0.0], [0.0, 8.0]])[rank]
        norm = step.apply((net.weight * x).sum())["grad_norm"]
        moved, refused = net.weight.detach().clone(), False
        try:
            step.apply(net.weight.sum() * (torch.nan if rank else 1.0))
        except NonFiniteError:
            refused = net.weight.equal(moved)
        seen = {"num": num_processes(), "shared": shared, "norm": norm, "moved": moved}
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
        assert seen["refused"]  # by both, though the gradient of one alone is not a number


def test_alone_nothing_happens() -> None:
    tensors = [torch.tensor([1.0, 2.0]), torch.tensor(3.0)]
    average(tensors)
    assert num_processes() == 1
    assert [x.tolist() for x in tensors] == [[1.0, 2.0], 3.0]
