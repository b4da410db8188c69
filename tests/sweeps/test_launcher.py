"""`metarl train -m ...` as a user runs it: in processes of their own, continued, and no orphans."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import own_processes
from jobs_in_trouble import AFTER_A_CHECKPOINT, SETTINGS, assert_same_run

from metarl_cli.cli import main

Start = Callable[..., subprocess.Popen]
PATIENCE_S = 600
FIXED = "hydra.sweep.dir=sweep"
TWO = "hydra.launcher.n_jobs=2"


@pytest.fixture
def start(here: Path) -> Iterator[Start]:
    """Start a sweep with tiny settings in a process of its own, which does not outlive the test."""

    def launch(*words: str) -> subprocess.Popen:
        return begin(
            [sys.executable, "-m", "metarl_cli.cli", "train", "-m", *SETTINGS, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with own_processes() as begin:
        yield launch


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also if nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_sweep_names_failures_and_the_same_command_runs_only_what_is_missing(start: Start) -> None:
    words = ["+env.mischief=none-0-it,fail-5-it", "hydra.launcher.retries=0"]
    out, err = (process := start(*words)).communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "1 of 2 jobs are not finished" in err
    assert "#1 +env.mischief=fail-5-it: failed (exit code 1): RuntimeError: mischief; see" in err
    assert "+env.mischief=none-0-it" in out
    assert "fail" not in out
    (sweep,) = Path("outputs/sweep").iterdir()
    (finished,) = sweep.glob("0-*/meta.json")
    before = finished.read_bytes()
    again, err_again = (process := start(*words, TWO)).communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "1 of 2 jobs were finished before" in err_again
    assert again == out
    assert finished.read_bytes() == before
    assert list(Path("outputs/sweep").iterdir()) == [sweep]
    (log,) = sweep.glob("1-*.log")
    assert log.read_text().count("--- attempt 1") == 2


def test_no_job_outlives_a_launcher_that_is_killed(start: Start) -> None:
    hang = f"+env.mischief=hang-{AFTER_A_CHECKPOINT}-it,stick-{AFTER_A_CHECKPOINT}-it"
    launcher = start(hang, FIXED, TWO, "hydra.launcher.grace_s=2")
    markers = [Path("hang-it"), Path("stick-it")]
    wait_until(lambda: all(m.exists() and m.read_text() for m in markers))
    pids = [int(marker.read_text()) for marker in markers]
    assert not any(map(is_gone, pids))
    launcher.kill()
    launcher.wait()
    wait_until(lambda: all(map(is_gone, pids)))
    (saved,) = Path("sweep").glob("0-*/meta.json")
    assert json.loads(saved.read_text())["status"] == "interrupted"  # the one that listens


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_launcher_that_is_stopped_lets_its_jobs_save(
    start: Start, signum: signal.Signals, code: int
) -> None:
    hang, calm = f"hang-{AFTER_A_CHECKPOINT}-it", "none-0-it"
    launcher = start(f"+env.mischief={hang},{calm}", FIXED, "hydra.launcher.n_jobs=1")
    wait_until(Path("hang-it").exists)
    launcher.send_signal(signum)
    _, err = launcher.communicate(timeout=PATIENCE_S)
    assert launcher.returncode == code
    assert "2 of 2 jobs are not finished" in err
    (meta,) = Path("sweep").glob("*/meta.json")  # the other one has not started
    assert json.loads(meta.read_text())["status"] == "interrupted"
    if signum == signal.SIGTERM:
        again = start(f"+env.mischief={hang},{calm}", FIXED, TWO)
        again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0
        assert_same_run(*sorted(path.parent for path in Path("sweep").glob("*/meta.json")))


def test_settings_of_the_launcher_are_checked_before_anything_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["metarl"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for wrong, told in [
        ("n_jobs=-1", "hydra.launcher.n_jobs must be at least 0, got -1"),
        ("retries=often", "hydra.launcher.retries must be an integer, got 'often'"),
    ]:
        assert main(["train", "-m", *SETTINGS, "seed=0,1", FIXED, f"hydra.launcher.{wrong}"]) == 2
        assert told in capsys.readouterr().err
    assert not list(Path("sweep").glob("*.log"))


@pytest.mark.slow
def test_twenty_jobs_of_which_three_are_killed_two_raise_and_one_hangs(start: Start) -> None:
    kinds = [f"kill-{AFTER_A_CHECKPOINT + 30 * n}-{n}" for n in range(3)]
    kinds += [f"fail-{AFTER_A_CHECKPOINT + n}-it" for n in range(2)]
    kinds += ["stick-90-it", *(f"none-0-{n}" for n in range(14))]
    words = [f"+env.mischief={','.join(kinds)}", FIXED, TWO, "hydra.launcher.retries=1"]
    limits = ["hydra.launcher.time_limit_s=300", "hydra.launcher.grace_s=5"]
    launcher, most = start(*words, *limits), 0
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    while launcher.poll() is None:
        most = max(most, len(children.read_text().split()))
        time.sleep(0.02)
    err = launcher.stderr.read()
    assert launcher.returncode == 1
    assert most == 2
    assert "3 of 20 jobs are not finished" in err
    for name, ended in {
        "fail-100-it": "failed",
        "fail-101-it": "failed",
        "stick-90-it": "out of time",
    }.items():
        assert f"+env.mischief={name}: {ended}" in err
    runs = {
        n: next(Path("sweep").glob(f"{n}-*/meta.json")).parent for n in (*range(3), *range(6, 20))
    }
    for run in runs.values():
        assert_same_run(run, runs[19])
    logs = [next(Path("sweep").glob(f"{n}-*.log")).read_text() for n in range(20)]
    assert all("resume=" in log for log in logs[:3])
    again = start(*words, "hydra.launcher.time_limit_s=20", "hydra.launcher.grace_s=1")
    _, err = again.communicate(timeout=PATIENCE_S)
    assert "17 of 20 jobs were finished before" in err
    assert again.returncode == 1
    after = [next(Path("sweep").glob(f"{n}-*.log")).read_text() for n in range(20)]
    assert [n for n in range(20) if after[n] != logs[n]] == [3, 4, 5]
