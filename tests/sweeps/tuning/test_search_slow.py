"""A search as a user meets it: two processes, one of them killed, a default that is bad."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import own_processes
from optuna.trial import TrialState

from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.sweeps.tuning.search import run_folder
from metarl_cli.sweeps.tuning.study import SCORES, Study

ROOT = Path(__file__).resolve().parents[3]
STEP_SIZE = "algo.inner.step_size"
BAD = 0.0001  # a default with which adaptation changes nothing
RUNS = [  # of a second each, once torch is there
    "experiment=maml/point_nav",
    "env.horizon=20",
    "env.tasks.num_test=10",
    "algo.num_tasks=2",
    "algo.envs_per_task=10",
    "meta_test.envs_per_task=10",
    "meta_test.episodes=1",
    "meta_test.score_after=1",
    "logger=[jsonl]",
    "threads=1",
    "budget.env_steps=3000",
    "budget.eval_every=1000",
    "budget.checkpoint_every=1000",
]
SEARCH = ["tune", *RUNS, "seeds=[0,1]", "jobs.n_jobs=1", "look_every_s=0.5"]
SPACE = [f"{STEP_SIZE}=tag(log,interval({BAD},1))", "budget.keep_checkpoints=range(1,4)"]
TRIALS = 20
PATIENCE_S = 3600  # 5 minutes on two idle cores

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `metarl <arguments>` in an empty folder; it does not outlive the test."""

    def launch(*arguments: str) -> subprocess.Popen:
        return begin(
            [sys.executable, "-m", "metarl_cli.cli", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with own_processes() as begin:
        yield launch


def ended(study: Path) -> int:
    """How many trials of a study have ended."""
    if not (study / "journal.log").is_file() or not (study / "journal.log").stat().st_size:
        return 0
    return sum(trial.state.is_finished() for trial in Study(study).trials)


@pytest.mark.slow
def test_two_processes_find_a_good_step_size_although_one_is_killed(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    command = [*SEARCH, *SPACE, f"trials={TRIALS}", "to=study"]
    workers = [start(*command), start(*command)]
    give_up_at = time.monotonic() + PATIENCE_S
    while ended(folder) < 4:
        assert time.monotonic() < give_up_at and workers[0].poll() is None
        time.sleep(0.5)
    workers[0].send_signal(signal.SIGKILL)
    workers.append(start(*command))
    said = [worker.communicate(timeout=PATIENCE_S)[0] for worker in workers[1:]]
    assert [worker.returncode for worker in workers[1:]] == [0, 0], said

    study = Study(folder)
    assert len(study.trials) == TRIALS
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.trials)
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    for trial in finished:
        assert trial.value == pytest.approx(sum(trial.user_attrs[SCORES]) / 2)
        for seed in (0, 1):
            assert RunRecord(run_folder(folder, trial.number, seed)).identity.status == "finished"

    default = start(*SEARCH, f"{STEP_SIZE}=choice({BAD})", "trials=1", "to=default")
    assert default.wait(PATIENCE_S) == 0
    bad, best = Study(tmp_path / "default").best, study.best
    assert bad is not None and best is not None
    assert best.value > bad.value + 0.5  # -10 without adaptation
    assert best.params[STEP_SIZE] > 100 * BAD

    report = start("tune", "report", "study=study").communicate(timeout=PATIENCE_S)[0]
    shares = {line.split()[0]: line.split()[1] for line in report.splitlines() if "%" in line}
    assert float(shares[STEP_SIZE][:-1]) > float(shares["budget.keep_checkpoints"][:-1])
    again = start(*command).communicate(timeout=PATIENCE_S)[0]
    assert f"has its {TRIALS} trials" in again


@pytest.mark.slow
def test_ctrl_c_saves_the_run_and_the_next_start_resumes_it(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    longer = ["budget.env_steps=40000", f"{STEP_SIZE}=choice(0.1)", "trials=1", "to=study"]
    first = start(*SEARCH, *longer)
    runs = [RunRecord(run_folder(folder, 0, seed)) for seed in (0, 1)]
    give_up_at = time.monotonic() + PATIENCE_S
    while not runs[0].has_checkpoint:
        assert time.monotonic() < give_up_at and first.poll() is None
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=PATIENCE_S)[0]
    assert first.returncode == 130, said
    assert "go on with: metarl tune to=study trials=1" in said
    assert runs[0].identity.status == "interrupted" and not runs[0].in_use
    assert [trial.state for trial in Study(folder).trials] == [TrialState.RUNNING]

    again = start("tune", "to=study", "trials=1", "jobs.n_jobs=1")  # the words are the study's
    assert again.wait(PATIENCE_S) == 0
    assert "train resume=" in (folder / "trials/0000/seed-0.log").read_text()
    for run in runs:
        iterations = [row["iteration"] for row in run.rows() if "iteration" in row]
        assert iterations == list(range(1, len(iterations) + 1))
    (trial,) = Study(folder).trials
    assert trial.state == TrialState.COMPLETE
