"""What a sweep says at the end: numbers that can be worked out by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval
from metarl_cli.sweeps.jobs import Job, Outcome, State
from metarl_cli.sweeps.launch import code_of, labels_of, setting_of
from metarl_cli.sweeps.summary import failures, reason, settings_of, settings_table, t_interval


def outcome(
    folder: Path, number: int, state: State = "finished", code: int | None = 0, label: str = ""
) -> Outcome:
    job = Job(number, (), folder / str(number), label)
    return Outcome(job, state, code, 1.0, 2, job.log)


def write_result(folder: Path, returns: Sequence[float], success: float | None) -> None:
    folder.mkdir()
    episodes = [
        EpisodeRow(index, Interval(mean, mean - 1, mean + 1), success=success)
        for index, mean in enumerate(returns)
    ]
    Evaluation(
        env="point_nav",
        algo="maml",
        checkpoint="ckpt-000000000120.pt",
        env_steps=120,
        test_seed=1,
        num_tasks=2,
        envs_per_task=1,
        test_env_steps=10,
        episodes=episodes,
        tasks=[],
    ).write(folder / "eval.json")


def test_interval_of_one_two_three_is_that_of_students_tables() -> None:
    low, high = t_interval([1.0, 2.0, 3.0])  # 2 -+ 4.30265 * 1 / sqrt(3)
    assert (low, high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


def test_runs_are_summed_up_over_seeds_by_the_return_after_all_adaptations(tmp_path: Path) -> None:
    labels = ["algo.gamma=0.9 seed=0", "algo.gamma=0.9 seed=1", "algo.gamma=1 seed=0"]
    results = [((0.0, -1.0), 0.0), ((0.0, -3.0), 1.0), ((9.0, -5.0), 0.5)]
    outcomes = []
    for number, (label, (returns, success)) in enumerate(zip(labels, results, strict=True)):
        write_result(tmp_path / str(number), returns, success)
        outcomes.append(outcome(tmp_path, number, label=label))
    outcomes.append(outcome(tmp_path, 3, "failed", 1, "algo.gamma=1 seed=1"))
    names = {each.job.number: setting_of(each.job.label) for each in outcomes}
    first, second = settings_of(outcomes, names)
    assert (first.name, first.scores, first.mean) == ("algo.gamma=0.9", [-1.0, -3.0], -2.0)
    assert (second.name, second.scores, second.interval) == ("algo.gamma=1", [-5.0], None)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(settings_table([first, second]))
    half = 12.7062  # t(1) * sqrt(2) / sqrt(2)
    assert re.search(
        rf"gamma=0.9 \D+2 \D+-2.00 \[{-2 - half:.2f}, {-2 + half:.2f}\]", capture.get()
    )
    assert re.search(r"gamma=1 \D+1 \D+-5.00 \D+50%", capture.get())


def test_sweep_over_seeds_alone_is_one_setting_with_the_name_of_the_method(tmp_path: Path) -> None:
    for number in (0, 1):
        write_result(tmp_path / str(number), [1.0], None)
    outcomes = [outcome(tmp_path, number, label=f"seed={number}") for number in (0, 1)]
    (setting,) = settings_of(outcomes, {0: setting_of("seed=0"), 1: setting_of("seed=1")})
    assert (setting.name, setting.scores, setting.successes) == ("maml on point_nav", [1, 1], [])


def test_failures_are_named_with_their_reason_and_their_log(tmp_path: Path) -> None:
    failed = outcome(tmp_path, 1, "failed", 1, "seed=1")
    failed.log.write_text("--- attempt 1: metarl train\nTraceback\nRuntimeError: mischief\n\n")
    killed = outcome(tmp_path, 0, "failed", -9, "seed=0")
    waited = Outcome(Job(2, (), tmp_path / "2"), "stopped", None, 0.0, 0, tmp_path / "2.log")
    assert failures([failed, killed, waited, outcome(tmp_path, 3)]) == [
        f"#0 seed=0: failed (killed by signal 9, 2 attempts); see {killed.log}",
        f"#1 seed=1: failed (exit code 1, 2 attempts): RuntimeError: mischief; see {failed.log}",
        "#2: stopped",
    ]
    assert reason(tmp_path / "missing.log") == ""


def test_exit_code_is_1_unless_all_that_is_missing_was_asked_wrongly(tmp_path: Path) -> None:
    good, skipped = outcome(tmp_path, 0), outcome(tmp_path, 1, "skipped", None)
    wrong, failed = outcome(tmp_path, 2, "failed", 2), outcome(tmp_path, 3, "failed", 1)
    late = outcome(tmp_path, 4, "out_of_time", 75)
    assert code_of([good, skipped]) == 0
    assert code_of([good, wrong]) == 2
    assert code_of([good, wrong, failed]) == 1
    assert code_of([good, late]) == 1


def test_jobs_are_named_after_what_they_do_not_share() -> None:
    jobs = [["env=point_nav", "a=1", "seed=0"], ["env=point_nav", "a=2", "seed=0"]]
    assert labels_of(jobs) == [("a=1",), ("a=2",)]
    assert labels_of(jobs[:1]) == [()]
