"""Tiny runs through the command line, in this process or in one of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from helpers import TINY, own_processes

from metarl_cli.cli import main

ROOT = Path(__file__).resolve().parents[2]
TINY_RUN = [
    *TINY,
    "budget.env_steps=360",
    "budget.eval_every=120",
    "budget.checkpoint_every=120",
    "hydra.run.dir=outputs/train/run",
]
Call = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; the process is left as it was found."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["metarl"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("METARL_DEBUG", raising=False)
    yield tmp_path
    torch.set_num_threads(threads)
    assert handlers == {number: signal.getsignal(number) for number in handlers}


@pytest.fixture
def tiny() -> list[str]:
    """Settings of a run of three iterations; the last one names its folder."""
    return TINY_RUN


@pytest.fixture
def train(here: Path) -> Call:
    """Train in this process with tiny settings, in `outputs/train/run`; returns the exit code."""
    return lambda *overrides: main(["train", *TINY_RUN, *overrides])


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished MAML run, made once; use `run` for a copy."""
    home = tmp_path_factory.mktemp("finished")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr("sys.argv", ["metarl"])
        patch.setenv("HYDRA_FULL_ERROR", "1")
        assert main(["train", *TINY_RUN]) == 0
        assert main(["curves", "runs=[outputs/train/run]"]) == 0
    torch.set_num_threads(threads)
    return home / "outputs/train/run"


@pytest.fixture
def run(here: Path, finished: Path) -> Path:
    """A finished run in `outputs/train/run`."""
    shutil.copytree(finished, "outputs/train/run")
    return Path("outputs/train/run")


@pytest.fixture
def start(here: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start `metarl <arguments>` as a process of its own, which does not outlive the test."""

    def launch(*arguments: str, **options: object) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return begin(
            [sys.executable, "-m", "metarl_cli.cli", *arguments],
            env=environment,
            text=True,
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
        )

    with own_processes() as begin:
        yield launch
