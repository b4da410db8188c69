"""What a search makes of jobs that finish, fail, lag behind or take too long.

Training is played: a pool that writes the records that runs would have written.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from metarl_cli.core.errors import RunError, UserError
from metarl_cli.runtime.signals import Interruption
from metarl_cli.sweeps.course import Course
from metarl_cli.sweeps.jobs import Job, Limits, Outcome, State
from metarl_cli.sweeps.tuning.pruning import MedianOverSeeds
from metarl_cli.sweeps.tuning.search import Search
from metarl_cli.sweeps.tuning.space import parse_space
from metarl_cli.sweeps.tuning.study import SCORES, Plan, Proposals, Study
from metarl_cli.sweeps.tuning.workers import Workers

Play = Callable[[Job], tuple[State, int | None, list[float]]]
WORDS = ("env=point_nav", "budget.eval_every=10", "env.horizon=range(5,50)")


@dataclass
class PlayedPool:
    """Ends a job at each poll, as `play` says: its state, exit code and scores.

    Those that play "waiting" write their scores and go on until they are stopped, which takes until
    the next poll.
    """

    play: Play
    limits: Limits = field(default_factory=lambda: Limits(n_jobs=2))
    courses: dict[int, Course] = field(default_factory=dict)
    stopping: list[int] = field(default_factory=list)

    def submit(self, job: Job) -> None:
        self.courses[job.number] = Course(job)

    def poll(self) -> list[Outcome]:
        while self.stopping:
            self.courses[self.stopping.pop()].end("stopped", 75)
        for course in self.courses.values():
            if course.outcome is None:
                state, code, scores = self.play(course.job)
                course.job.folder.mkdir(parents=True, exist_ok=True)
                rows = [{"env_steps": 10 * i, "eval/score": x} for i, x in enumerate(scores)]
                lines = "".join(json.dumps(row) + "\n" for row in rows)
                course.job.record.files.record.write_text(lines)
                if state != "waiting":
                    course.end(state, code)
                    course.job.log.write_text("metarl: what it said\n")
                    return [course.outcome]
        return []

    def stop(self, number: int) -> None:
        self.stopping.append(number)


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., tuple[Study, list[str]]]:
    """Search with played jobs; returns the study and what was said."""

    def run(play: Play, *, trials: int, interruption: object = None, name: str = "study"):
        study = Study(tmp_path / name, MedianOverSeeds(50.0, 2, 1))
        plan, said = Plan(WORDS, (3, 4)), []
        study.agree_on(plan)
        workers = Workers(tmp_path / name / "workers", lost_after_s=60)
        try:
            Search(
                study=study,
                plan=plan,
                space=parse_space(WORDS),
                workers=workers,
                proposals=Proposals("random", 0, 10),
                trials=trials,
                pool=PlayedPool(play),
                look_every_s=0,
                say=said.append,
                watch=lambda pool, outcomes: None,
            ).run(interruption or Interruption())
        finally:
            workers.leave()
        return study, said

    return run


def trial_of(job: Job) -> int:
    return int(job.folder.parent.name)


def seed_of(job: Job) -> int:
    return int(job.folder.name.partition("-")[2])


def test_score_is_the_mean_over_seeds_of_the_best_evaluations(search: Callable) -> None:
    study, said = search(lambda job: ("finished", 0, [1.0, float(seed_of(job)), 2.0]), trials=1)
    (trial,) = study.trials
    assert trial.value == 3.5
    assert trial.user_attrs[SCORES] == [3.0, 4.0]
    assert said[-1] == "trial 0: score 3.5; the best so far is trial 0 with 3.5"


def test_runs_get_the_settings_of_the_trial_and_a_seed(search: Callable) -> None:
    jobs: list[Job] = []

    def play(job: Job) -> tuple:
        jobs.append(job)
        return "finished", 0, [1.0]

    study, _ = search(play, trials=1)
    horizon = study.trials[0].params["env.horizon"]
    fixed = ("env=point_nav", "budget.eval_every=10", f"env.horizon={horizon}")
    assert [job.arguments for job in jobs] == [(*fixed, "seed=3"), (*fixed, "seed=4")]


def test_trial_that_lags_behind_is_given_up_and_its_runs_are_stopped(search: Callable) -> None:
    def play(job: Job) -> tuple:
        if trial_of(job) < 2:
            return "finished", 0, [0.0, 5.0, 6.0]
        return "waiting", None, [0.0, 4.0]

    study, said = search(play, trials=4)
    states = ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert [t.state.name for t in study.trials] == states
    assert said[-1] == "trial 3: given up, worse than the others at this point"


def test_trial_that_takes_too_long_is_given_up(search: Callable) -> None:
    study, _ = search(lambda job: ("out_of_time", 75, [1.0]), trials=1)
    assert study.trials[0].state == TrialState.PRUNED


@pytest.mark.parametrize(("code", "error"), [(1, RunError), (2, UserError)])
def test_third_failure_in_a_row_ends_the_search(
    search: Callable, code: int, error: type[Exception]
) -> None:
    def play(job: Job) -> tuple:
        good = trial_of(job) == 1
        return ("finished", 0, [1.0]) if good else ("failed", code, [])

    with pytest.raises(error, match=r"3 trials in a row have failed, the last: .*what it said"):
        search(play, trials=9)


def test_run_without_a_validation_score_is_a_failure(search: Callable) -> None:
    study, said = search(lambda job: ("finished", 0, []), trials=1)
    assert study.trials[0].state == TrialState.FAIL
    assert "not scored on validation tasks" in said[-1]


def test_search_that_is_told_to_stop_leaves_its_trial_to_the_next(search: Callable) -> None:
    told = SimpleNamespace(signum=None)

    def interrupted(job: Job) -> tuple:
        told.signum = signal.SIGTERM
        return "stopped", 75, [1.0]

    study, _ = search(interrupted, trials=2, interruption=told)
    assert [t.state for t in study.trials] == [TrialState.RUNNING]
    study, said = search(lambda job: ("finished", 0, [1.0, 2.0]), trials=2)
    assert [t.value for t in study.trials] == [2.0, 2.0]
    assert said[0].startswith("trial 0: env.horizon=")
