"""Whatever happens to a run, its last checkpoint is intact, and one line says what happened."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metarl_cli.cli import main
from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.learners.trpo import TRPO
from metarl_cli.loggers.jsonl import JsonlLogger, read_rows
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.runtime.checkpoint import CheckpointStore

RUN = Path("outputs/train/run")
Call = Callable[..., int]
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
PLACES = {
    "rollout": (Sampler, "run", 7),
    "update": (TRPO, "step", 2),
    "evaluation": (Parts, "test", 2),
    "save": (CheckpointStore, "save", 2),
}


def at_call(
    patch: pytest.MonkeyPatch, owner: Any, name: str, number: int, act: Callable[[], Any]
) -> None:
    """Do something when a method is called for the `number`-th time, before it does its work."""
    call, count = getattr(owner, name), 0

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            act()
        return call(*args, **kwargs)

    patch.setattr(owner, name, counting)


def code_of(call: Callable[[], int]) -> int:
    """The exit code of a command; one that was stopped by a signal leaves by SystemExit."""
    try:
        return call()
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code


def status() -> str:
    return json.loads((RUN / "meta.json").read_text())["status"]


def rows(run: Path) -> list[dict[str, Any]]:
    """The record without what depends on the clock."""
    kept = read_rows(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]


@pytest.fixture
def hanging_up_counts() -> Iterator[None]:
    """SIGHUP does what it does by default, also below `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hanging_up_counts")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", SIGNALS)
def test_signal_saves_and_leaves_within_two_seconds_and_the_run_goes_on_bit_identically(
    train: Call, finished: Path, name: str, place: str
) -> None:
    sent: list[float] = []

    def send() -> None:
        sent.append(time.process_time())
        signal.raise_signal(signal.Signals[name])

    with pytest.MonkeyPatch.context() as patch:
        at_call(patch, *PLACES[place], send)
        assert code_of(train) == (130 if name == "SIGINT" else 75)
    assert time.process_time() - sent[0] < 2.0  # of the processor: a busy machine is no fault
    assert status() == "interrupted"
    assert len(CheckpointStore(RUN / "checkpoints").load_latest()[2]) == 0
    assert main(["train", f"resume={RUN}"]) == 0
    assert status() == "finished"
    assert rows(RUN) == rows(finished)
    results = [json.loads((run / "eval.json").read_text()) for run in (RUN, finished)]
    assert results[0] == results[1]


def full_disk(patch: pytest.MonkeyPatch) -> None:
    """Let no file reach the disk."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(os, "fsync", fail)


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", f"checkpoint={RUN}", "to=new"],
        ["report", f"runs=[{RUN}]", "to=new"],
        ["film", f"checkpoint={RUN}", "output=new"],
        ["eval", f"checkpoint={RUN}", "output=new/eval.json"],
    ],
)
def test_full_disk_is_one_line_exit_1_and_leaves_nothing_partial(
    run: Path, capsys: pytest.CaptureFixture, arguments: list[str]
) -> None:
    before = {path: path.stat().st_size for path in RUN.rglob("*")}
    with pytest.MonkeyPatch.context() as patch:
        full_disk(patch)
        assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("metarl: cannot write") and err.count("\n") == 1
    assert "No space left on device" in err
    assert [path for path in Path("new").rglob("*") if path.is_file()] == []
    assert {path: path.stat().st_size for path in RUN.rglob("*")} == before
    assert main(arguments) == 0


@pytest.mark.parametrize("lost", ["metrics.jsonl", "the run folder"])
def test_what_is_deleted_under_a_run_ends_it_with_one_line(
    train: Call, capsys: pytest.CaptureFixture, lost: str
) -> None:
    def delete() -> None:
        if lost == "metrics.jsonl":
            (RUN / lost).unlink()
        else:
            shutil.rmtree(RUN)

    with pytest.MonkeyPatch.context() as patch:
        at_call(patch, JsonlLogger, "log", 3, delete)
        assert train() == 1
    err = capsys.readouterr().err
    assert "metrics.jsonl was removed or replaced" in err and err.count("\n") == 1
    assert RUN.exists() == (lost == "metrics.jsonl")
    if lost == "metrics.jsonl":
        assert status() == "failed"
        assert main(["train", f"resume={RUN}"]) == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=4"], "seed=4: a run goes on with the seed it began with, 0"),
        (["budget.env_steps=100"], "budget.env_steps=100: the run has done 360 steps already"),
        (["threads=999999"], "threads must be at most"),
        (["plugins=[nonexistent]"], "there is no module nonexistent"),
    ],
)
def test_change_by_which_a_run_would_be_another_is_refused(
    run: Path, capsys: pytest.CaptureFixture, arguments: list[str], line: str
) -> None:
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    assert main(["train", f"resume={RUN}", *arguments]) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1
    after = {path: path.read_bytes() for path in before}
    assert after == before
    assert main(["train", f"resume={RUN}", "seed=0"]) == 0


@pytest.mark.parametrize("share", ["1.5", "50", "-0.1"])
def test_success_to_reach_is_a_share(run: Path, capsys: pytest.CaptureFixture, share: str) -> None:
    assert main(["eval", f"checkpoint={RUN}", f"min_success={share}"]) == 2
    assert "min_success must be at" in capsys.readouterr().err


def test_what_to_type_to_continue_can_be_typed(
    here: Path, tiny: list[str], capsys: pytest.CaptureFixture
) -> None:
    odd = "my run (2), lr=[1]"
    settings = [*tiny[:-1], "logger=[console,jsonl]", f'hydra.run.dir="{odd}"']
    with pytest.MonkeyPatch.context() as patch:
        at_call(patch, Sampler, "run", 7, lambda: signal.raise_signal(signal.SIGTERM))
        assert code_of(lambda: main(["train", *settings])) == 75
    printed = capsys.readouterr().err
    line = next(line for line in printed.splitlines() if "continue with: metarl" in line)
    words = shlex.split(line.partition("continue with: metarl ")[2])
    assert main(words) == 0
    assert json.loads((here / odd / "eval.json").read_text())["env"] == "point_nav"


def test_run_whose_episodes_all_blow_up_does_not_end_well(
    train: Call, capsys: pytest.CaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        test = Parts.test

        def unstable(self: Parts, *args: Any, **kwargs: Any) -> Any:
            result = test(self, *args, **kwargs)
            result.unstable = 10**6
            return result

        patch.setattr(Parts, "test", unstable)
        assert train() == 1
        assert "episodes of the meta-test blew up" in capsys.readouterr().err
        assert status() == "failed"
        assert main(["eval", f"checkpoint={RUN}"]) == 1


def test_training_that_cannot_fit_is_refused_when_it_is_resumed(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", f"resume={RUN}", "algo.num_tasks=1000000000"]) == 2
    assert "choose a smaller size" in capsys.readouterr().err
    assert main(["train", f"resume={RUN}"]) == 0
