"""Runs that are stopped: by signals, kill -9, a full disk, another process, a closed pipe."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metarl_cli.cli import main
from metarl_cli.loggers.jsonl import read_rows

Start = Callable[..., subprocess.Popen]
RUN = Path("outputs/train/run")
WHOLE = Path("outputs/train/whole")
LONG = ["budget.env_steps=6000", "budget.eval_every=1200", "budget.checkpoint_every=1200"]
LIMIT_S = 10.0  # 5 s on a machine with nothing else to do


def wait_for_rows(run: Path, number: int) -> None:
    """Wait until the record has so many rows."""
    end = time.monotonic() + 600
    while not (run / "metrics.jsonl").is_file() or len(read_rows(run / "metrics.jsonl")) < number:
        assert time.monotonic() < end
        time.sleep(0.01)


def rows(run: Path) -> list[dict[str, Any]]:
    """The record without what depends on the clock."""
    kept = read_rows(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]


def final_state(run: Path) -> dict[str, Any]:
    """Parts and random streams of the newest checkpoint."""
    newest = max(run.glob("checkpoints/ckpt-*.pt"))
    return torch.load(newest, weights_only=True)


def assert_same_result(run: Path, whole: Path) -> None:
    """Compare everything but the clock, bit by bit."""
    assert rows(run) == rows(whole)
    one, other = final_state(run), final_state(whole)
    assert one["learned"]["policy"].keys() == other["learned"]["policy"].keys()
    for name, x in one["learned"]["policy"].items():
        assert torch.equal(x, other["learned"]["policy"][name])
    assert torch.equal(one["random"]["torch"], other["random"]["torch"])
    assert one["sampler"] == other["sampler"]
    results = [json.loads((folder / "eval.json").read_text()) for folder in (run, whole)]
    assert results[0] == results[1]


def test_sigterm_saves_and_leaves_and_the_resumed_run_is_bit_identical(
    start: Start, tiny: list[str]
) -> None:
    settings = [*tiny, *LONG, "logger=[console,jsonl]"]
    process = start("train", *settings)
    wait_for_rows(RUN, 4)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 75
    assert time.monotonic() - began < LIMIT_S
    assert "metarl train resume=" in out + err
    assert "Traceback" not in err
    assert json.loads((RUN / "meta.json").read_text())["status"] == "interrupted"
    assert not (RUN / "eval.json").exists()
    assert main(["train", f"resume={RUN}"]) == 0
    assert json.loads((RUN / "meta.json").read_text())["status"] == "finished"
    assert main(["train", *settings, f"hydra.run.dir={WHOLE}"]) == 0
    assert_same_result(RUN, WHOLE)


def test_ctrl_c_exits_130(start: Start, tiny: list[str]) -> None:
    process = start("train", *tiny, *LONG)
    wait_for_rows(RUN, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(RUN.glob("checkpoints/ckpt-*.json"))


def test_reader_that_leaves_does_not_stop_the_training(start: Start, tiny: list[str]) -> None:
    process = start("train", *tiny, "logger=[console,jsonl]", "logger.console.heartbeat_s=0.01")
    process.stdout.close()  # as `| head` does
    process.wait(timeout=600)
    assert "Traceback" not in process.stderr.read()
    assert json.loads((RUN / "meta.json").read_text())["status"] == "finished"
    assert (RUN / "eval.json").is_file()


def test_run_in_progress_is_not_resumed_by_a_second_process(
    start: Start, tiny: list[str], capsys: pytest.CaptureFixture
) -> None:
    process = start("train", *tiny, "budget.env_steps=1000000000")
    wait_for_rows(RUN, 3)
    assert main(["train", f"resume={RUN}"]) == 2
    assert "another process is training in" in capsys.readouterr().err
    config = (RUN / "config.yaml").read_bytes()
    assert main(["train", *tiny, "seed=5"]) == 2
    assert "another process is training in" in capsys.readouterr().err
    assert (RUN / "config.yaml").read_bytes() == config
    assert main(["eval", f"checkpoint={RUN}"]) == 0  # looking is allowed
    process.kill()


def test_full_disk_is_one_line_and_the_run_can_go_on(
    start: Start, tiny: list[str], run: Path
) -> None:
    """Files may grow to 9 kB only: the record fits, the next checkpoint does not."""
    shutil.copytree(run, WHOLE)
    arguments = ["train", f"resume={RUN}", "budget.env_steps=720"]
    process = start(*arguments, preexec_fn=limit_file_size)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1, err
    assert err.startswith("metarl: cannot write checkpoint")
    assert err.count("\n") == 1
    assert not list(RUN.rglob("*.tmp"))
    assert main(["eval", f"checkpoint={RUN}"]) == 0
    assert main(arguments) == 0
    assert main(["train", f"resume={WHOLE}", "budget.env_steps=720"]) == 0
    assert_same_result(RUN, WHOLE)


def limit_file_size() -> None:
    """Let writing beyond 9 kB fail as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))


@pytest.mark.slow
def test_ten_kills_at_random_moments_leave_a_bit_identical_run(start: Start) -> None:
    settings = [
        "env=cheetah_vel",
        "algo=maml",
        "env.horizon=20",
        "env.tasks.num_test=2",
        "algo.num_tasks=2",
        "algo.envs_per_task=3",
        "meta_test.envs_per_task=2",
        "meta_test.episodes=1",
        "logger=[jsonl]",
        "threads=1",
        "budget.env_steps=48000",  # 200 iterations
        "budget.eval_every=2400",
        "budget.checkpoint_every=720",
    ]
    whole = start("train", *settings, f"hydra.run.dir={WHOLE}")
    _, err = whole.communicate(timeout=1800)
    assert whole.returncode == 0, err
    rng, kills = random.Random(0), 0
    arguments = ["train", *settings, f"hydra.run.dir={RUN}"]
    for _ in range(10):
        before = len(list(RUN.glob("checkpoints/ckpt-*.json")))
        process = start(*arguments)
        begun = len(read_rows(RUN / "metrics.jsonl")) if before else 0
        wait_for_progress(RUN, begun, process)
        time.sleep(rng.uniform(0.0, 0.7))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        arguments = ["train", f"resume={RUN}"]
    assert kills == 10  # none had ended before
    last = start(*arguments)
    _, err = last.communicate(timeout=1800)
    assert last.returncode == 0, err
    assert_same_result(RUN, WHOLE)


def wait_for_progress(run: Path, begun: int, process: subprocess.Popen) -> None:
    """Wait until a process that starts or resumes a run has written a row of its own."""
    record, seen = run / "metrics.jsonl", begun
    while process.poll() is None:
        now = len(read_rows(record)) if record.is_file() else 0
        if now > seen and list(run.glob("checkpoints/ckpt-*.json")):
            return
        seen = min(seen, now)  # the record is cut back when the run is resumed
        time.sleep(0.005)
