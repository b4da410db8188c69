"""The training loop: iterate, evaluate, log and save until the budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from metarl_cli.core import tree
from metarl_cli.core.distributed import alone, average_metrics, rank
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Algorithm, Logger, Metrics
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.evaluator import MetaTest
from metarl_cli.runtime.laps import Laps
from metarl_cli.runtime.process import random_state, restore_random_state
from metarl_cli.runtime.run_record import SCORE
from metarl_cli.runtime.signals import Interrupted, Interruption


@dataclass(frozen=True)
class Budget:
    """How long to train and how often to evaluate and save, in environment steps.

    A checkpoint is due also where the work of more than `checkpoint_minutes` could be lost.
    """

    env_steps: int
    eval_every: int
    checkpoint_every: int
    keep_checkpoints: int
    checkpoint_minutes: float


@dataclass
class Progress:
    """Counters of a run; part of every checkpoint."""

    iteration: int = 0
    wall_s: float = 0.0
    next_eval: int = 0
    next_checkpoint: int = 0
    best_score: float = -math.inf
    finished: bool = False  # the algorithm has nothing (left) to meta-train


@dataclass
class Trainer:
    """Owns the loop of a run. Everything periodic is one `if` in `_iterate`.

    Where several processes learn together, each has one; the first evaluates and writes.
    """

    algorithm: Algorithm
    sampler: Sampler
    validate: Callable[[], MetaTest]
    logger: Logger
    record_position: Callable[[], int]  # length of the record in bytes, stored in checkpoints
    store: CheckpointStore
    budget: Budget
    identity: dict[str, Any]  # what else a checkpoint must carry: W&B id, threads
    score_after: int | None = None  # how often the agent whose return is the score has adapted
    progress: Progress = field(default_factory=Progress)
    clock: Callable[[], float] = time.perf_counter  # seconds
    _boundary: dict[str, Any] = field(default_factory=dict)  # state at the last finished iteration
    _saved: int = -1  # the iteration of the last checkpoint

    def __post_init__(self) -> None:
        self._laps = Laps(self.clock)
        self._unsaved_since = self._iteration_began = self.clock()  # seconds

    def run(self, interruption: Interruption) -> None:
        """Train until the budget is spent.

        Raises:
            Interrupted: a signal came; the state of the last finished iteration has been saved.
            NonFiniteError: something became NaN or infinite; nothing of it was saved.
        """
        self.restart_clock()
        try:
            while not self._finished:
                self.advance(interruption)
        except Interrupted:
            # The modules may have been left half-way (parameters swapped, an update under way), so
            # what is saved is the copy; of this object only the counters are used from here on.
            self.sampler.load_state_dict(self._boundary["sampler"])
            self.progress = Progress(**self._boundary["progress"])
            for kept in self.algorithm.experience().values():
                kept.rollback()
            self._save(self._boundary | self._experience())
            raise
        self._save()

    def restart_clock(self) -> None:
        """Leave what happened since the last iteration out of the next one's time."""
        self._laps.restart()
        self._unsaved_since = self.clock()

    def advance(self, interruption: Interruption) -> Metrics:
        """Do one iteration, write it down and return its metrics.

        All time from one row of the record to the next is in these of them: `time/log_s` and
        `time/save_s` (writing the row before and its checkpoint), `time/boundary_s` (copying the
        state to go back to), `time/iteration_s` (which is simulate, act and learn), `time/check_s`
        (looking for NaN), `time/eval_s`. `time/wall_s` is their sum since the run began.
        """
        self._iteration_began = self.clock()
        self._boundary = tree.clone(self._small_state())
        for kept in self.algorithm.experience().values():
            kept.mark()
        self._laps.end("boundary_s")
        with interruption.interruptible():
            metrics = self._iterate()
        self._settle(metrics)
        return metrics

    def continue_from(self, state: dict[str, Any]) -> None:
        """Restore the state of the run's newest checkpoint; later ones are set aside."""
        self.load_state(state)
        if rank() == 0:
            self.store.go_back_to(self.sampler.env_steps)
        self._saved = self.progress.iteration

    def state(self) -> dict[str, Any]:
        """Return all that a bit-exact continuation needs."""
        return self._small_state() | self._experience()

    def _experience(self) -> dict[str, Any]:
        kept = self.algorithm.experience()
        return {"experience": {name: part.state_dict() for name, part in kept.items()}}

    def _small_state(self) -> dict[str, Any]:
        """All but the experience, which is never copied."""
        learned = self.algorithm.learned()
        return {
            "learned": {name: part.state_dict() for name, part in learned.items()},
            "sampler": self.sampler.state_dict(),
            "random": random_state(),
            "progress": vars(self.progress).copy(),
            "record": self.record_position(),
            "identity": self.identity,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        load_algorithm(self.algorithm, state)
        self.sampler.load_state_dict(state["sampler"])
        self.progress = Progress(**state["progress"])
        restore_random_state(state["random"])

    def _iterate(self) -> Metrics:
        """One iteration of the algorithm and, when due, an evaluation; nothing is written here."""
        self.sampler.simulate_s = self.sampler.act_s = 0.0
        self.sampler.unstable = 0
        trained = self.algorithm.train_step(self.sampler)
        elapsed = self._laps.end("iteration_s")
        progress, steps = self.progress, self.sampler.env_steps
        progress.iteration += 1
        progress.finished = trained is None
        metrics = average_metrics(
            (trained or {})
            | {
                "time/iteration_s": elapsed,
                "time/simulate_s": self.sampler.simulate_s,
                "time/act_s": self.sampler.act_s,
                "time/learn_s": elapsed - self.sampler.simulate_s - self.sampler.act_s,
                "sim/unstable": float(self.sampler.unstable),
            }
        )
        self._require_finite(metrics)
        self._laps.end("check_s")
        if trained is not None and (steps >= progress.next_eval or self._finished):
            progress.next_eval = (steps // self.budget.eval_every + 1) * self.budget.eval_every
            if (result := self._validate()) is not None:
                metrics |= result.metrics() | {SCORE: result.score(self.score_after)}
            self._laps.end("eval_s")
        laps = self._laps.take()
        progress.wall_s += sum(laps.values())
        metrics |= {f"time/{name}": seconds for name, seconds in laps.items()}
        return metrics | {"iteration": progress.iteration, "time/wall_s": progress.wall_s}

    def _validate(self) -> MetaTest | None:
        """Evaluate, if this is the first process; the others wait where they next meet it."""
        if rank() > 0:
            return None
        with alone():
            return self.validate()

    def _settle(self, metrics: Metrics) -> None:
        """Write down a finished iteration."""
        steps, progress = self.sampler.env_steps, self.progress
        self.logger.log(metrics, steps)
        self._laps.end("log_s")
        score = metrics.get(SCORE)
        best = score is not None and score > progress.best_score
        if score is not None and best:
            progress.best_score = score
        if best or steps >= progress.next_checkpoint or self._long_unsaved:
            every = self.budget.checkpoint_every
            progress.next_checkpoint = (steps // every + 1) * every
            self._save(score=score, best=best)
            self._laps.end("save_s")

    def _save(
        self,
        state: dict[str, Any] | None = None,
        *,
        score: float | None = None,
        best: bool = False,
    ) -> None:
        """Write a checkpoint unless this iteration has one, which is never put at risk."""
        steps, iteration = self.sampler.env_steps, self.progress.iteration
        if iteration == self._saved or rank() > 0:
            return
        state = state or self.state()
        self.store.save(state, env_steps=steps, iteration=iteration, score=score, best=best)
        self._saved = iteration
        self._unsaved_since = self.clock()

    def _require_finite(self, metrics: Metrics) -> None:
        """Stop before a bad number reaches a checkpoint."""
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise NonFiniteError(f"metric {name} is {value} in iteration {self._now}")
        for name, part in self.algorithm.learned().items():
            if not _all_finite(part.state_dict()):
                raise NonFiniteError(f"{name} has NaN or infinite numbers in iteration {self._now}")

    @property
    def _long_unsaved(self) -> bool:
        """Whether after another iteration like this one too much time would hang on it."""
        now = self.clock()
        after_another = now - self._unsaved_since + now - self._iteration_began
        return after_another > 60 * self.budget.checkpoint_minutes

    @property
    def _finished(self) -> bool:
        return self.progress.finished or self.sampler.env_steps >= self.budget.env_steps

    @property
    def _now(self) -> int:
        return self.progress.iteration


def load_algorithm(algorithm: Algorithm, state: dict[str, Any]) -> None:
    """Give an algorithm what it has learned and experienced, as `Trainer.state` keeps it."""
    for name, part in algorithm.learned().items():
        part.load_state_dict(state["learned"][name])
    for name, kept in algorithm.experience().items():
        if name in state["experience"]:
            kept.load_state_dict(state["experience"][name])


def _all_finite(state: Any) -> bool:
    if isinstance(state, torch.Tensor):
        return not state.is_floating_point() or bool(torch.isfinite(state).all())
    if isinstance(state, dict):
        return all(_all_finite(x) for x in state.values())
    if isinstance(state, list | tuple):
        return all(_all_finite(x) for x in state)
    return True
