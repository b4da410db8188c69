"""One training in two processes that torchrun starts, as users start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import together
import torch
from helpers import TINY
from torch.testing import assert_close

from metarl_cli.commands.parts import processes
from metarl_cli.core.errors import UserError
from metarl_cli.loggers.jsonl import read_rows

ROOT = Path(__file__).resolve().parents[2]
FOUR = ("maml", "rl2", "varibad", "pearl")
RUN, WHOLE = Path("outputs/train/run"), Path("outputs/train/whole")
SELDOM = ["budget.eval_every=1000000000", "budget.checkpoint_every=1000000000"]
LONG = ["budget.env_steps=12000", "budget.eval_every=2400", "budget.checkpoint_every=480"]
QUICK = (*FOUR, "rl2-hopper")
OTHERS = tuple(case for case in together.CASES if case not in QUICK)
TWO = ["--standalone", "--nproc-per-node=2"]
TRAIN = ["-m", "metarl_cli", "train"]
PATIENCE_S = 1800  # on a machine with much else to do
Torchrun = Callable[..., subprocess.Popen]


def launch(folder: Path, *words: str) -> subprocess.Popen:
    """Start `torchrun --nproc-per-node=2` in a folder."""
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONUNBUFFERED": "1",
        "WANDB_MODE": "offline",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *TWO, *words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end_of(process: subprocess.Popen) -> tuple[int, str]:
    """Wait until a process has ended; return its exit code and what it said."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.terminate()  # its processes, too, if the patience was at its end
    return process.returncode, out + err


@pytest.fixture
def torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Torchrun]:
    """Start torchrun in the empty current folder; it does not outlive the test."""
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen] = []

    def start(*words: str) -> subprocess.Popen:
        started.append(launch(tmp_path, *words))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


def iterations_in_two(folder: Path, *cases: str) -> list[dict[str, Any]]:
    """What both processes have after the iterations of `together.py`."""
    script = str(ROOT / "tests" / "together.py")
    code, said = end_of(launch(folder, script, "both.pt", *cases))
    assert code == 0, said
    return [torch.load(folder / f"both.{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes have after iterations of the quick cases."""
    return iterations_in_two(tmp_path_factory.mktemp("both"), *QUICK)


@pytest.fixture(scope="module")
def both_of_others(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes have after iterations of all other cases."""
    return iterations_in_two(tmp_path_factory.mktemp("others"), *OTHERS)


@pytest.mark.parametrize("case", QUICK)
def test_two_processes_take_the_step_of_one(case: str, both: list[dict[str, Any]]) -> None:
    assert_as_alone(case, both[0][case], both[1][case])


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_two_processes_take_the_step_of_one_in_all_other_methods(
    case: str, both_of_others: list[dict[str, Any]]
) -> None:
    assert_as_alone(case, both_of_others[0][case], both_of_others[1][case])


def assert_as_alone(case: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Compare both processes bit by bit, and with one process up to rounding."""
    assert together.flat(first["last"]).equal(together.flat(second["last"]))
    assert first["rows"] == second["rows"] and first["random"].equal(second["random"])
    threads = torch.get_num_threads()
    alone = together.run(case)
    torch.set_num_threads(threads)
    learned = together.flat(alone["first"])
    change = learned - together.flat(alone["before"])
    distance = (together.flat(first["first"]) - learned).norm()
    assert distance <= 1e-5 * learned.norm()
    assert distance <= 1e-4 * change.norm()
    assert first["random"].equal(alone["random"]) and first["sampler"] == alone["sampler"]
    assert [row.keys() for row in first["rows"]] == [row.keys() for row in alone["rows"]]
    for name, number in alone["rows"][0].items():
        assert first["rows"][0][name] == pytest.approx(number, rel=1e-3, abs=1e-4), name
    for name, kept in alone["experience"].items():
        assert_close(first["experience"][name], kept, rtol=1e-3, atol=1e-3)


def test_same_bits_when_run_twice(both: list[dict[str, Any]], tmp_path: Path) -> None:
    again = iterations_in_two(tmp_path, *FOUR)
    for case in FOUR:
        assert together.flat(again[0][case]["last"]).equal(together.flat(both[0][case]["last"]))
        assert again[0][case]["rows"] == both[0][case]["rows"]


def test_interrupt_of_one_process_stops_both_and_the_resumed_run_has_the_same_bits(
    torchrun: Torchrun,
) -> None:
    process = torchrun(
        *TRAIN, *TINY, *SELDOM, "budget.env_steps=1000000000", f"hydra.run.dir={RUN}"
    )
    wait_for_rows(RUN, 3)
    os.kill(worker(process, rank=1), signal.SIGUSR1)
    _, said = end_of(process)
    assert said.count("exitcode  : 75") == 2, said
    meta = json.loads((RUN / "meta.json").read_text())
    assert meta["status"] == "interrupted" and meta["processes"] == 2
    assert meta["env_steps"] == read_rows(RUN / "metrics.jsonl")[-1]["env_steps"]
    more = f"budget.env_steps={meta['env_steps'] + 240}"
    code, said = end_of(torchrun(*TRAIN, f"resume={RUN}", more))
    assert code == 0, said
    code, said = end_of(torchrun(*TRAIN, *TINY, *SELDOM, more, f"hydra.run.dir={WHOLE}"))
    assert code == 0, said
    assert_same_result(RUN, WHOLE)
    assert len(list(Path("outputs/train").iterdir())) == 2  # one folder for each run


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_killed_process_is_started_again_and_the_run_goes_on(rank: int, torchrun: Torchrun) -> None:
    words = [*TRAIN, *TINY, *LONG]
    process = torchrun("--max-restarts=2", *words, f"hydra.run.dir={RUN}")
    wait_for_rows(RUN, 10)
    begun = len(read_rows(RUN / "metrics.jsonl"))
    os.kill(worker(process, rank=rank), signal.SIGKILL)
    code, said = end_of(process)
    assert code == 0, said
    assert begun < len(read_rows(RUN / "metrics.jsonl"))
    assert json.loads((RUN / "meta.json").read_text())["status"] == "finished"
    assert "resumed" in json.loads((RUN / "meta.json").read_text())  # not begun anew
    code, said = end_of(torchrun(*words, f"hydra.run.dir={WHOLE}"))
    assert code == 0, said
    assert_same_result(RUN, WHOLE)


def test_what_cannot_be_shared_is_refused_in_one_line(torchrun: Torchrun) -> None:
    code, said = end_of(torchrun(*TRAIN, *TINY, "algo.num_tasks=3"))
    lines = [line for line in said.splitlines() if line.startswith("metarl: ")]
    assert code != 0
    assert lines == ["metarl: algo.num_tasks: got 3, expected a multiple of 2 processes"]
    assert "exitcode  : 2" in said
    assert not Path("outputs").exists()


def test_algorithm_that_learns_in_one_process_only_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Loner:
        num_tasks = 2

    monkeypatch.setattr(processes, "num_processes", lambda: 2)
    with pytest.raises(UserError, match="Loner is trained by one process only"):
        processes.require_shareable(Loner())
    monkeypatch.setattr(processes, "num_processes", lambda: 1)
    processes.require_shareable(Loner())


def wait_for_rows(run: Path, number: int) -> None:
    """Wait until the record has so many rows."""
    end = time.monotonic() + PATIENCE_S
    while not (run / "metrics.jsonl").is_file() or len(read_rows(run / "metrics.jsonl")) < number:
        assert time.monotonic() < end
        time.sleep(0.01)


def worker(launcher: subprocess.Popen, *, rank: int) -> int:
    """The process of a rank that torchrun has started."""
    children = Path(f"/proc/{launcher.pid}/task").glob("*/children")
    for child in (int(pid) for path in children for pid in path.read_text().split()):
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return child
    raise AssertionError(f"there is no rank {rank}")


def assert_same_result(run: Path, whole: Path) -> None:
    """Compare everything but the clock, bit by bit."""
    assert rows(run) == rows(whole)
    one, other = (torch.load(max(x.glob("checkpoints/ckpt-*.pt"))) for x in (run, whole))
    for name, x in one["learned"]["policy"].items():
        assert torch.equal(x, other["learned"]["policy"][name])
    assert torch.equal(one["random"]["torch"], other["random"]["torch"])
    assert one["sampler"] == other["sampler"]
    results = [json.loads((folder / "eval.json").read_text()) for folder in (run, whole)]
    assert results[0] == results[1]


def rows(run: Path) -> list[dict[str, Any]]:
    """The record without what depends on the clock."""
    kept = read_rows(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]
