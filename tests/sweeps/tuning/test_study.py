"""Trials that belong to one process at a time, whatever happens to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial, TrialState

from metarl_cli.core.errors import UserError
from metarl_cli.sweeps.tuning.space import parse_space
from metarl_cli.sweeps.tuning.study import Plan, Proposals, Study
from metarl_cli.sweeps.tuning.workers import Workers

KEY = "algo.inner.step_size"
SPACE = parse_space([f"{KEY}=interval(0,1)"])
PROPOSALS = Proposals("random", seed=3, random_trials=10)

Join = Callable[..., Workers]


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    """Join the processes that work on the study, as one more."""
    joined: list[Workers] = []

    def another(host: str = "here") -> Workers:
        joined.append(Workers(tmp_path / "workers", lost_after_s=60, host=host))
        return joined[-1]

    yield another
    for workers in joined:
        workers.leave()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path, NopPruner())


def take(study: Study, workers: Workers, trials: int = 2) -> FrozenTrial | None:
    return study.take(SPACE, workers, PROPOSALS, trials=trials)


def silent_for(workers: Workers, seconds: float, folder: Path) -> None:
    """Let the last sign of life of a process be so long ago."""
    then = time.time() - seconds
    os.utime(folder / "workers" / f"{workers.name}.alive", (then, then))


def test_process_is_alive_until_it_leaves_or_dies(join: Join) -> None:
    one, other = join(), join()
    assert one.is_alive(one.name) and one.is_alive(other.name)
    other.leave()
    assert not one.is_alive(other.name)


def test_dead_process_of_this_machine_is_known_at_once_and_of_another_by_its_silence(
    join: Join, tmp_path: Path
) -> None:
    one, elsewhere = join(), join("elsewhere")
    dead = tmp_path / "workers" / "here@1-abc.alive"
    dead.touch()  # with no lock on it, though it is young
    assert not one.is_alive("here@1-abc")
    silent_for(elsewhere, 50, tmp_path)
    assert one.is_alive(elsewhere.name)
    silent_for(elsewhere, 70, tmp_path)
    assert not one.is_alive(elsewhere.name)
    elsewhere.beat()
    assert one.is_alive(elsewhere.name)


def test_trials_are_asked_for_until_there_are_enough(study: Study, join: Join) -> None:
    one, other = join(), join()
    first, second = take(study, one), take(study, other)
    assert first is not None and second is not None
    assert (first.number, second.number) == (0, 1)
    assert first.params[KEY] != second.params[KEY]
    assert take(study, one) is None
    study.fail(0, "broken")
    assert take(study, one) is None  # a failed one counts
    assert take(study, one, trials=3) is not None


def test_trial_of_a_process_that_is_gone_is_taken_up_and_counted_once(
    study: Study, join: Join, tmp_path: Path
) -> None:
    gone, heir = join(), join()
    trial = take(study, gone)
    assert trial is not None
    study.report(trial.number, 0, {0: 1.0})
    gone.leave()
    taken = take(Study(tmp_path, NopPruner()), heir)
    assert taken is not None
    assert (taken.number, taken.params) == (trial.number, trial.params)
    assert not study.belongs_to(0, gone) and study.belongs_to(0, heir)
    study.report(0, 0, {0: 1.0, 1: 2.0})
    study.complete(0, [2.0, 4.0])
    assert [t.state for t in study.trials] == [TrialState.COMPLETE]
    assert study.best is not None and study.best.value == 3.0


def test_best_is_the_highest_score_of_the_finished(study: Study, join: Join) -> None:
    workers = join()
    assert study.best is None
    for score in (-3.0, -1.0, -2.0):
        trial = take(study, workers, trials=9)
        assert trial is not None
        study.complete(trial.number, [score])
    bad = take(study, workers, trials=9)
    assert bad is not None
    study.report(bad.number, 0, {0: 5.0})
    study.give_up(bad.number, "by hand")
    assert study.best is not None and study.best.number == 1


def test_settings_follow_from_seed_and_number_not_from_the_process(
    tmp_path: Path, join: Join
) -> None:
    def proposed(folder: Path, workers: list[Workers]) -> list[float]:
        study = Study(folder, NopPruner())
        trials = [take(study, worker, trials=9) for worker in workers]
        return [trial.params[KEY] for trial in trials if trial]

    one, other = join(), join()
    alone = proposed(tmp_path / "a", [one, one, one])
    assert alone == proposed(tmp_path / "b", [one, other, one])
    assert len(set(alone)) == 3


def test_many_who_ask_at_once_get_each_trial_once(tmp_path: Path, join: Join) -> None:
    Study(tmp_path, NopPruner())

    def work(workers: Workers) -> list[int]:
        study, numbers = Study(tmp_path, NopPruner()), []
        while (trial := take(study, workers, trials=12)) is not None:
            numbers.append(trial.number)
        return numbers

    with ThreadPoolExecutor(4) as executor:
        taken = list(executor.map(work, [join() for _ in range(4)]))
    assert sorted(number for numbers in taken for number in numbers) == list(range(12))


def test_plan_of_a_study_stays(study: Study, tmp_path: Path) -> None:
    plan = Plan(("a=1", "b=interval(0,1)"), (0, 1))
    assert study.plan is None
    study.agree_on(plan)
    again = Study(tmp_path)
    again.agree_on(plan)
    assert again.plan == plan
    with pytest.raises(UserError, match=r"a study with a=1, not a=2: choose another to="):
        again.agree_on(Plan(("a=2", "b=interval(0,1)"), (0, 1)))
    with pytest.raises(UserError, match=r"seeds=\[0, 1\], not seeds=\[0\]"):
        again.agree_on(Plan(plan.words, (0,)))


def test_torn_journal_is_made_whole(study: Study, join: Join, tmp_path: Path) -> None:
    workers = join()
    assert take(study, workers) is not None
    with (tmp_path / "journal.log").open("a") as journal:
        journal.write('{"op_code": 4, "work')
    assert len(Study(tmp_path).trials) == 1  # who only reads leaves it as it is
    assert take(Study(tmp_path, NopPruner()), workers) is not None
    assert len(Study(tmp_path).trials) == 2


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no study in"):
        Study(tmp_path)
    (tmp_path / "journal.log").write_text("hello\nhello\n")
    with pytest.raises(UserError, match="not the journal of a study"):
        Study(tmp_path)
