"""The loop of a search: take a trial, train it with every seed, look at the scores, tell the study.

Imports no torch: training happens in the jobs of a pool.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from optuna.trial import FrozenTrial

from metarl_cli.config.compose import compose
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.runtime.signals import Interruption
from metarl_cli.sweeps.jobs import WRONG_REQUEST, Job, Outcome
from metarl_cli.sweeps.pool import PERIOD_S, Pool, Watch
from metarl_cli.sweeps.summary import reason
from metarl_cli.sweeps.tuning.scores import ScoreFollower
from metarl_cli.sweeps.tuning.space import Space
from metarl_cli.sweeps.tuning.study import Plan, Proposals, Study
from metarl_cli.sweeps.tuning.workers import Workers

MOST_FAILURES = 3  # trials in a row, after which something else must be wrong


@dataclass
class Attempt:
    """A trial at work in this process."""

    trial: FrozenTrial
    jobs: list[Job]  # by the place of their seed
    scores: list[ScoreFollower]  # likewise
    ended: set[int] = field(default_factory=set)  # places


@dataclass
class Search:
    """Works on a study until it has its trials.

    Attributes:
        study: shared with other processes.
        plan: of the study.
        space: its words, as ranges.
        workers: this process among the others.
        proposals: how new trials are found.
        trials: so many there should be in the study.
        pool: trains.
        look_every_s: seconds between two looks at the records of the runs.
        say: takes lines for people.
        watch: shows the jobs; see `run_jobs`.
    """

    study: Study
    plan: Plan
    space: Space
    workers: Workers
    proposals: Proposals
    trials: int
    pool: Pool
    look_every_s: float
    say: Callable[[str], None]
    watch: Watch
    _attempts: dict[int, Attempt] = field(default_factory=dict)  # by the number of the trial
    _looked: float = 0.0
    _failures: int = 0  # in a row

    def run(self, interruption: Interruption) -> None:
        """Work until nothing is left to do, or a signal comes.

        Then the trials stay as they are; whoever comes next takes them up.

        Raises:
            RunError: several trials in a row have failed.
            UserError: likewise, and their settings were refused.
        """
        while interruption.signum is None:
            outcomes = self.pool.poll()
            if interruption.signum is None:  # or the jobs may have been stopped along with us
                self._settle(outcomes)
                self._look()
                self.watch(self.pool, outcomes)
                if self._fill() and not self._attempts:
                    return
                time.sleep(PERIOD_S)

    def _fill(self) -> bool:
        """Begin trials while the pool has places; tell whether there are none left to begin."""
        while self._unfinished < self.pool.limits.at_once:
            trial = self.study.take(self.space, self.workers, self.proposals, trials=self.trials)
            if trial is None:
                return True
            self._begin(trial)
        return False

    @property
    def _unfinished(self) -> int:
        return sum(course.outcome is None for course in self.pool.courses.values())

    def _begin(self, trial: FrozenTrial) -> None:
        words = self.space.words(trial.params)
        searched = " ".join(words[len(self.space.fixed) :])
        again = " goes on" if trial.intermediate_values else ""
        self.say(f"trial {trial.number}{again}: {searched}")
        try:
            eval_every = int(compose("train", words).budget.eval_every)
        except UserError as error:
            self._fail(trial.number, str(error), wrong=True)
            return
        jobs = [
            Job(
                number=len(self.pool.courses) + place,
                arguments=(*words, f"seed={seed}"),
                folder=run_folder(self.study.folder, trial.number, seed),
                label=f"trial {trial.number}, seed {seed}",
            )
            for place, seed in enumerate(self.plan.seeds)
        ]
        scores = [ScoreFollower(job.record, eval_every) for job in jobs]
        self._attempts[trial.number] = Attempt(trial, jobs, scores)
        for job in jobs:
            self.pool.submit(job)

    def _look(self) -> None:
        """Read what the runs have reached, give up on what is bad, show that we are here."""
        if time.monotonic() < self._looked + self.look_every_s:
            return
        self.workers.beat()
        for number, attempt in list(self._attempts.items()):
            if not self.study.belongs_to(number, self.workers):
                self.say(f"trial {number}: another process has taken it over")
                self._drop(number)
                continue
            self._report(attempt)
            if self.study.is_worse(number):
                self._prune(number, "worse than the others at this point")
        self._looked = time.monotonic()

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Take note of jobs that have ended; those of trials that are over are no news."""
        for outcome in outcomes:
            for attempt in list(self._attempts.values()):
                if outcome.job in attempt.jobs:
                    self._take_note(attempt, outcome)

    def _take_note(self, attempt: Attempt, outcome: Outcome) -> None:
        number = attempt.trial.number
        attempt.ended.add(attempt.jobs.index(outcome.job))
        if outcome.is_good:
            self._report(attempt)
            if len(attempt.ended) == len(attempt.jobs):
                self._complete(attempt)
        elif outcome.state == "out_of_time":
            self._prune(number, f"{outcome.job.label} is out of time")
        else:
            wrong = outcome.exit_code == WRONG_REQUEST
            self._fail(number, f"{reason(outcome.log)} ({outcome.log})", wrong=wrong)

    def _report(self, attempt: Attempt) -> None:
        for place, scores in enumerate(attempt.scores):
            self.study.report(attempt.trial.number, place, scores.look())

    def _complete(self, attempt: Attempt) -> None:
        number = attempt.trial.number
        curves = [scores.curve for scores in attempt.scores]
        if not all(curves):
            self._fail(number, "its runs were not scored on validation tasks", wrong=False)
            return
        best_scores = [max(curve.values()) for curve in curves]
        self.study.complete(number, best_scores)
        self._failures = 0
        self._drop(number)
        best = self.study.best
        assert best is not None
        self.say(
            f"trial {number}: score {mean(best_scores):.4g}; the best so far is trial "
            f"{best.number} with {best.value:.4g}"
        )

    def _prune(self, number: int, reason: str) -> None:
        self.study.give_up(number, reason)
        self._failures = 0
        self._drop(number)
        self.say(f"trial {number}: given up, {reason}")

    def _fail(self, number: int, reason: str, *, wrong: bool) -> None:
        self.study.fail(number, reason)
        self._drop(number)
        self.say(f"trial {number}: failed: {reason}")
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            kind = UserError if wrong else RunError
            raise kind(f"{MOST_FAILURES} trials in a row have failed, the last: {reason}")

    def _drop(self, number: int) -> None:
        """Be done with a trial, and stop what still runs of it."""
        attempt = self._attempts.pop(number, None)
        for job in attempt.jobs if attempt else ():
            if self.pool.courses[job.number].outcome is None:
                self.pool.stop(job.number)


def run_folder(study: Path, trial: int, seed: int) -> Path:
    """Return where the run of a trial's seed is kept."""
    return study / "trials" / f"{trial:04d}" / f"seed-{seed}"
