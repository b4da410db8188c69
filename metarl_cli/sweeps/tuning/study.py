"""A study in a folder, that several processes on several machines may work on at once.

Optuna's journal keeps the trials: an append-only file, locked in a way that also holds on network
file systems. What Optuna leaves open is settled here: a trial belongs to one process at a time, one
whose process has died is taken up by the next that asks, and none is counted twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.sweeps.tuning.pruning import step_of
from metarl_cli.sweeps.tuning.samplers import sampler_for
from metarl_cli.sweeps.tuning.scores import Curve
from metarl_cli.sweeps.tuning.space import Space
from metarl_cli.sweeps.tuning.workers import Workers

NAME = "tune"  # of the only study in the journal
WORKER, SCORES, REASON = "worker", "scores", "reason"  # what trials carry besides Optuna's facts
WORDS, SEEDS = "words", "seeds"  # what the study carries
GRACE_S = 120  # after which the lock of a process that was killed while it asked is broken


@dataclass(frozen=True)
class Plan:
    """What is searched: it belongs to the study and never changes."""

    words: tuple[str, ...]  # settings and ranges, as typed
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Proposals:
    """How the settings of the next trial are found; see `sampler_for`."""

    sampler: str
    seed: int
    random_trials: int


class Study:
    """The trials of a study, as they are now.

    Args:
        folder: of the study.
        pruner: decides which trials are given up early; None for those who only read.
    """

    def __init__(self, folder: Path, pruner: BasePruner | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder, self._pruner = folder, pruner
        self._journal = folder / "journal.log"
        if pruner is not None:
            self._prepare()
        elif not self._journal.is_file():
            raise UserError(f"there is no study in {folder}")
        try:
            self._storage = JournalStorage(JournalFileBackend(str(self._journal)))
            self.optuna = optuna.load_study(study_name=NAME, storage=self._storage)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{self._journal} is damaged, or not the journal of a study") from error
        self._lock = JournalFileSymlinkLock(str(folder / "asking"), grace_period=GRACE_S)

    @property
    def plan(self) -> Plan | None:
        """What is searched; None as long as nothing is."""
        facts = self.optuna.user_attrs
        if WORDS not in facts:
            return None
        return Plan(tuple(facts[WORDS]), tuple(facts[SEEDS]))

    def agree_on(self, plan: Plan) -> None:
        """Make this the plan of a new study.

        Raises:
            UserError: the study has another one.
        """
        with self._alone():
            if (known := self.plan) is None:
                self.optuna.set_user_attr(SEEDS, list(plan.seeds))
                self.optuna.set_user_attr(WORDS, list(plan.words))
            elif known != plan:
                then, now = _first_difference(known, plan)
                raise UserError(
                    f"{self.folder} holds a study with {then}, not {now}: choose another to=..."
                )

    @property
    def trials(self) -> list[FrozenTrial]:
        """All that were ever begun."""
        return [t for t in self.optuna.get_trials(deepcopy=False) if WORKER in t.user_attrs]

    @property
    def best(self) -> FrozenTrial | None:
        """The finished trial with the best score."""
        finished = any(trial.state == TrialState.COMPLETE for trial in self.trials)
        return self.optuna.best_trial if finished else None

    def take(
        self, space: Space, workers: Workers, proposals: Proposals, *, trials: int
    ) -> FrozenTrial | None:
        """Give this process a trial: one that another has left unfinished, or a new one.

        Args:
            space: what is searched.
            workers: this process and the others.
            proposals: how a new trial is found.
            trials: so many there should be in all.

        Returns:
            The trial; None if there are enough of them, and somebody at work on each.
        """
        if len(self.trials) >= trials and self._lost(workers) is None:
            return None  # the usual answer, without a lock
        with self._alone():
            if (lost := self._lost(workers)) is not None:
                self._storage.set_trial_user_attr(self._id(lost.number), WORKER, workers.name)
                return lost
            if len(self.trials) >= trials:
                return None
            self.optuna.sampler = sampler_for(
                proposals.sampler,
                seed=proposals.seed,
                trial=len(self.optuna.get_trials(deepcopy=False)),
                random_trials=proposals.random_trials,
            )
            asked = self.optuna.ask(dict(space.searched))
            asked.set_user_attr(WORKER, workers.name)
            return self._trial(asked.number)

    def belongs_to(self, number: int, workers: Workers) -> bool:
        """Tell whether a trial is still this process's own: one that slept may have lost it."""
        return self._trial(number).user_attrs.get(WORKER) == workers.name

    def report(self, number: int, place: int, curve: Curve) -> None:
        """Write down how far the run of a trial's seed has come: what is new of it."""
        known = self._trial(number).intermediate_values
        for interval, value in curve.items():
            if (step := step_of(place, interval)) not in known:
                self._storage.set_trial_intermediate_value(self._id(number), step, value)

    def is_worse(self, number: int) -> bool:
        """Tell whether a trial should be given up."""
        assert self._pruner is not None
        return self._pruner.prune(self.optuna, self._trial(number))

    def complete(self, number: int, scores: Sequence[float]) -> None:
        """Finish a trial with a score for each seed; what counts is their mean."""
        self._storage.set_trial_user_attr(self._id(number), SCORES, list(scores))
        self.optuna.tell(number, sum(scores) / len(scores))

    def give_up(self, number: int, reason: str) -> None:
        """End a trial early that is worse than others."""
        self._end(number, TrialState.PRUNED, reason)

    def fail(self, number: int, reason: str) -> None:
        """End a trial that has no score."""
        self._end(number, TrialState.FAIL, reason)

    def _prepare(self) -> None:
        """Make a study if there is none; make whole the journal of one that has crashed."""
        with writing_into(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            _mend(self._journal)
        if self._journal.is_file() and self._journal.stat().st_size:
            return
        storage = JournalStorage(JournalFileBackend(str(self._journal)))
        optuna.create_study(
            storage=storage, study_name=NAME, direction="maximize", load_if_exists=True
        )

    def _end(self, number: int, state: TrialState, reason: str) -> None:
        self._storage.set_trial_user_attr(self._id(number), REASON, reason)
        self.optuna.tell(number, state=state)

    def _lost(self, workers: Workers) -> FrozenTrial | None:
        """A trial that nobody works on, though it has not ended."""
        alive: dict[str, bool] = {}
        for trial in self.trials:
            worker = trial.user_attrs[WORKER]
            if trial.state == TrialState.RUNNING:
                if worker not in alive:
                    alive[worker] = workers.is_alive(worker)
                if not alive[worker]:
                    return trial
        return None

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(NAME)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from asking at the same time."""
        self._lock.acquire()
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):  # broken by others, who thought us dead
                self._lock.release()


def _first_difference(known: Plan, plan: Plan) -> tuple[str, str]:
    """Say in which words two plans differ."""
    if known.seeds != plan.seeds:
        return f"seeds={list(known.seeds)}", f"seeds={list(plan.seeds)}"
    then = [word for word in known.words if word not in plan.words]
    now = [word for word in plan.words if word not in known.words]
    return " ".join(then) or "fewer settings", " ".join(now) or "without them"


def _mend(journal: Path) -> None:
    """Cut off a last line that a crash has torn: what is written after it could not be read."""
    if not journal.is_file():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        with journal.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()
