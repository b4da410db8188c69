"""Jobs side by side: limits, retries that resume, and no process that outlives its pool."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import TINY
from jobs_in_trouble import AFTER_A_CHECKPOINT, SETTINGS, assert_same_run, mischief

from metarl_cli.cli import main
from metarl_cli.config.arguments import as_value
from metarl_cli.core.errors import UserError
from metarl_cli.core.paths import usable_cores
from metarl_cli.runtime.runs import RunFolder
from metarl_cli.sweeps.jobs import Job, Limits, Outcome, command_line
from metarl_cli.sweeps.pool import Pool, run_jobs


def job(number: int, *words: str, seed: int = 0) -> Job:
    return Job(number, (*SETTINGS, f"seed={seed}", *words), Path(f"jobs/{number}"), f"n={number}")


def num_children() -> int:
    """Processes that this one has started and that are not over, as the system says."""
    return len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def by_number(outcomes: Sequence[Outcome]) -> dict[int, Outcome]:
    return {outcome.job.number: outcome for outcome in outcomes}


def test_six_jobs_two_at_a_time_of_which_two_are_killed_and_two_fail(here: Path) -> None:
    jobs = [
        job(0),
        job(1, mischief("kill", AFTER_A_CHECKPOINT, "late")),
        job(2, mischief("kill", 5, "early")),
        job(3, mischief("fail", AFTER_A_CHECKPOINT, "always")),
        job(4, "budget.env_steps=-1"),
        job(5, seed=1),
    ]
    at_once: list[int] = []
    limits, others = Limits(n_jobs=2, retries=1), num_children()
    ended = by_number(run_jobs(jobs, limits, lambda pool, new: at_once.append(num_children())))
    states = {number: outcome.state for number, outcome in ended.items()}
    assert states == {n: "failed" if n in (3, 4) else "finished" for n in range(6)}
    assert {n: outcome.exit_code for n, outcome in ended.items() if n in (3, 4)} == {3: 1, 4: 2}
    assert [ended[n].attempts for n in range(6)] == [1, 2, 2, 2, 1, 1]  # a wrong request: once
    assert max(at_once) - others == 2
    assert "resume=jobs/1" in Path("jobs/1.log").read_text()
    assert "resume=" not in Path("jobs/2.log").read_text()  # killed before the first checkpoint
    for number in (1, 2):
        assert_same_run(Path(f"jobs/{number}"), Path("jobs/0"))
    again = by_number(run_jobs([*jobs[:3], jobs[5]], limits))
    assert {outcome.state for outcome in again.values()} == {"skipped"}
    assert num_children() == others


def test_job_that_hangs_is_ended_by_its_time_limit(here: Path) -> None:
    sticking = job(0, mischief("stick", 1, "it"))
    begun = time.monotonic()
    (outcome,) = run_jobs([sticking], Limits(n_jobs=1, time_limit_s=4, grace_s=1))
    assert outcome.state == "out_of_time"
    assert 4 <= outcome.seconds < time.monotonic() - begun
    assert outcome.attempts == 1


def test_one_job_is_stopped_and_another_one_added_by_who_watches(here: Path) -> None:
    hanging, later, never = (
        job(0, mischief("hang", AFTER_A_CHECKPOINT, "it")),
        job(1),
        job(2),
    )

    def watch(pool: Pool, new: list[Outcome]) -> None:
        if Path("hang-it").exists() and 1 not in pool.courses:
            pool.submit(later)
            pool.submit(never)
            pool.stop(never.number)
            pool.stop(hanging.number)

    ended = by_number(run_jobs([hanging], Limits(n_jobs=1), watch))
    assert {n: outcome.state for n, outcome in ended.items()} == {
        0: "stopped",
        1: "finished",
        2: "stopped",
    }
    assert (ended[0].exit_code, ended[2].exit_code, ended[2].attempts) == (75, None, 0)
    (resumed,) = run_jobs([hanging], Limits(n_jobs=1))
    assert resumed.state == "finished"
    assert_same_run(Path("jobs/0"), Path("jobs/1"))


def test_folder_with_a_run_of_other_settings_is_left_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*TINY, "budget=smoke", "seed=0")
    typed = ["metarl", "train", *words, "hydra.run.dir=jobs/0"]
    monkeypatch.setattr("sys.orig_argv", typed)
    monkeypatch.setattr("sys.argv", typed)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert main() == 0
    same = Job(0, words, Path("jobs/0"))
    assert [outcome.state for outcome in run_jobs([same], Limits(n_jobs=1))] == ["skipped"]
    with pytest.raises(UserError, match="jobs/0 holds a run of other settings: metarl train"):
        run_jobs([replace(same, arguments=(*words[:-1], "seed=1"))], Limits(n_jobs=1))


def test_two_jobs_cannot_share_a_folder() -> None:
    with Pool(Limits()) as pool, pytest.raises(UserError, match="jobs 0 and 1 share jobs/a"):
        try:
            pool.submit(Job(0, (), Path("jobs/a")))
            pool.submit(Job(1, (), Path("jobs/a")))
        finally:
            pool.stop_all()


def test_job_waits_while_another_process_trains_in_its_folder(tmp_path: Path) -> None:
    owner = RunFolder(tmp_path)
    owner.lock()
    with Pool(Limits(n_jobs=1)) as pool:
        pool.submit(Job(0, ("env=nowhere",), tmp_path))
        for _ in range(3):
            assert pool.poll() == []
        (course,) = pool.courses.values()
        assert (course.state, course.blocked, course.attempts) == ("waiting", True, 0)
        pool.stop(0)
        assert [outcome.state for outcome in pool.poll()] == ["stopped"]


def test_jobs_share_the_cores_unless_they_say_otherwise(tmp_path: Path) -> None:
    assert Limits(n_jobs=1).threads_each == usable_cores()
    assert Limits(n_jobs=1000).threads_each == 1
    assert Limits().at_once == usable_cores()
    folder = tmp_path / "it"
    words, threads = command_line(Job(0, ("seed=1",), folder), 3)
    assert (words, threads) == (["train", "seed=1", f"hydra.run.dir={folder}", "threads=3"], 3)
    words, threads = command_line(Job(0, ("seed=1", "threads=2"), folder), 3)
    assert (words, threads) == (["train", "seed=1", "threads=2", f"hydra.run.dir={folder}"], None)


def test_paths_are_quoted_where_hydra_would_not_read_them() -> None:
    assert as_value("outputs/sweep/a-1.5") == "outputs/sweep/a-1.5"
    assert as_value("o, it's=1") == r"'o, it\'s=1'"


def test_waiting_for_jobs_needs_no_torch() -> None:
    program = "import sys, metarl_cli.sweeps.launch; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"
