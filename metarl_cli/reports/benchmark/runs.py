"""Runs as a report sees them: seeds of methods, methods side by side on one task distribution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metarl_cli.core.words import short_settings
from metarl_cli.loggers.jsonl import Row
from metarl_cli.reports.scores.aggregates import interquartile_mean
from metarl_cli.runtime.evaluation import Evaluation
from metarl_cli.runtime.run_record import SCORE, Identity

# Settings that make no other method: what a run is called, where it runs, what it tells
NO_METHOD = (
    *("seed", "threads", "device", "native", "logger", "name", "tags", "plugins", "version"),
    *("curves", "film", "film_evals"),
)
NO_METHOD_BUDGET = ("budget.eval_every", "budget.checkpoint", "budget.keep")
MOST_SETTINGS = 3  # in a label
WHOLE = re.compile(r"(?<![\w.])(-?\d+)\.0\b")
FLOORS = ("random", "stand_still", "at_rest", "do_nothing", "blind_guess", "end_at_once")
TOPS = ("oracle", "bayes_optimal")
Anchors = Mapping[str, tuple[float, ...]]  # mean returns of episodes 1, 2, ... of simple policies


@dataclass(frozen=True)
class Curve:
    """Validation scores while training.

    Attributes:
        env_steps: `[T]`, rising.
        score: `[T]`.
        wall_s: `[T]`, seconds since the run began, NaN where the record does not say.
    """

    env_steps: np.ndarray
    score: np.ndarray
    wall_s: np.ndarray


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run, or a file with a meta-test alone, then without settings and curve."""

    name: str
    path: Path
    evaluation: Evaluation  # of the checkpoint best on validation
    identity: Identity
    final: Evaluation | None = None  # of the last checkpoint
    settings: Mapping[str, Any] | None = None  # dotted keys
    curve: Curve | None = None
    film: Path | None = None

    @property
    def seed(self) -> int | None:
        """Of the training."""
        return None if self.settings is None else self.settings.get("seed")

    @property
    def method(self) -> tuple[Any, ...]:
        """What it has in common with runs that differ by their seeds alone."""
        if self.settings is None:
            return (self.evaluation.algo, str(self.path))
        return (self.evaluation.algo, *sorted(self.method_settings.items()))

    def on_same_tasks(self, other: Evaluation) -> bool:
        """Whether a meta-test was on the tasks of this run's."""
        return [task.params for task in self.evaluation.tasks] == [x.params for x in other.tasks]

    @cached_property
    def method_settings(self) -> dict[str, str]:
        """The settings that make the method, as text."""
        return {
            key: value_text(value)
            for key, value in (self.settings or {}).items()
            if key.partition(".")[0] not in NO_METHOD and not key.startswith(NO_METHOD_BUDGET)
        }


@dataclass(frozen=True)
class Method:
    """The seeds of one setting on one task distribution."""

    label: str
    runs: Sequence[MeasuredRun]

    @cached_property
    def scores(self) -> np.ndarray:
        """Online returns after all adaptations, `[seeds, tasks]`."""
        return self.returns(-1)

    @cached_property
    def final_scores(self) -> np.ndarray | None:
        """The same of the last checkpoints, `[seeds, tasks]`; None if some were not tested."""
        finals = [run.final for run in self.runs]
        known = [final for final in finals if final is not None]
        if len(known) < len(finals):
            return None
        return np.array([[task.online[-1] for task in final.tasks] for final in known])

    @property
    def adaptations(self) -> int:
        """How many of them all runs have."""
        return min(len(run.evaluation.episodes) for run in self.runs)

    def returns(self, index: int) -> np.ndarray:
        """Online returns in the episode after `index` adaptations, `[seeds, tasks]`."""
        return np.array(
            [[task.online[index] for task in run.evaluation.tasks] for run in self.runs]
        )


@dataclass(frozen=True)
class Normaliser:
    """Maps a return to 0 where nothing is achieved and to 1 where all is."""

    floor: float
    top: float
    words: str

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return the scores in these units."""
        return (scores - self.floor) / (self.top - self.floor)


@dataclass(frozen=True)
class Panel:
    """Methods that were tested on the same tasks."""

    env: str
    methods: Sequence[Method]
    anchors: Anchors

    @cached_property
    def normaliser(self) -> Normaliser | None:
        """By an exact return of an informed policy, else by a trained oracle; None: neither."""
        floor = _first(self.anchors, FLOORS)
        top = _first(self.anchors, TOPS) or self._trained_oracle()
        if floor is None or top is None or not top[1] > floor[1]:
            return None
        words = f"0: {floor[0]} {floor[1]:.4g}, 1: {top[0]} {top[1]:.4g}".replace("_", " ")
        return Normaliser(floor[1], top[1], words)

    def _trained_oracle(self) -> tuple[str, float] | None:
        for method in self.methods:
            if method.runs[0].evaluation.algo == "oracle":
                value = float(interquartile_mean(method.scores))
                return f"trained oracle ({counted(len(method.runs), 'run')})", value
        return None


def panel(env: str, runs: Sequence[MeasuredRun], anchors: Anchors) -> Panel:
    """Group runs of one task distribution into methods and name these."""
    groups: dict[tuple[Any, ...], list[MeasuredRun]] = {}
    for run in runs:
        groups.setdefault(run.method, []).append(run)
    seeds = [sorted(group, key=lambda run: run.seed or 0) for group in groups.values()]
    labels = _labels([group[0] for group in seeds])
    return Panel(env, [Method(*pair) for pair in zip(labels, seeds, strict=True)], anchors)


def last_returns(anchors: Anchors) -> dict[str, float]:
    """Return what each simple policy gets after all that it can learn."""
    return {name: returns[-1] for name, returns in anchors.items()}


def curve_of(rows: Iterable[Row]) -> Curve | None:
    """Read the validation score off a record; None if it was never measured.

    Records of earlier versions have returns by number of adaptations only: the last one counts.
    """
    found: list[tuple[Any, ...]] = []
    last = ""
    for row in rows:
        key = SCORE if SCORE in row else last or _last_online(row)
        value, steps = row.get(key), row.get("env_steps")
        if type(value) in (int, float) and type(steps) in (int, float):
            last = "" if key == SCORE else key
            found.append((steps, value, row.get("time/wall_s")))
    if not found:
        return None
    found.sort(key=lambda item: item[0])
    columns = [
        [x if type(x) in (int, float) else np.nan for x in c] for c in zip(*found, strict=True)
    ]
    steps, score, wall_s = (np.array(column, float) for column in columns)
    return Curve(steps, score, wall_s)


def different_settings(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that have not the same value in all of them."""
    keys = sorted({key for one in settings for key in one})
    return [key for key in keys if len({value_text(one.get(key)) for one in settings}) > 1]


def counted(num: int, noun: str) -> str:
    """Return `1 run` or `2 runs`."""
    return f"{num} {noun}{'s' * (num != 1)}"


def value_text(value: Any) -> str:
    """Return a value as text in which 3 and 3.0 are the same, also in lists."""
    return WHOLE.sub(r"\1", str(value))


def _labels(firsts: Sequence[MeasuredRun]) -> list[str]:
    """Call a method by its algorithm; where two have one, by what differs or its run's name."""
    labels = []
    for run in firsts:
        rivals = [other for other in firsts if other.evaluation.algo == run.evaluation.algo]
        labels.append(_label(run, rivals) if len(rivals) > 1 else run.evaluation.algo)
    return [
        label if labels.count(label) == 1 else f"{label} #{1 + labels[:i].count(label)}"
        for i, label in enumerate(labels)
    ]


def _label(run: MeasuredRun, rivals: Sequence[MeasuredRun]) -> str:
    if any(rival.settings is None for rival in rivals):
        return run.name
    keys = different_settings([rival.method_settings for rival in rivals])
    if not 0 < len(keys) <= MOST_SETTINGS:
        return run.name
    words = [f"{key}={run.method_settings.get(key)}" for key in keys]
    return " ".join([run.evaluation.algo, *short_settings(words)])


def _first(anchors: Anchors, names: Sequence[str]) -> tuple[str, float] | None:
    returns = last_returns(anchors)
    return next(((name, returns[name]) for name in names if name in returns), None)


def _last_online(row: Row) -> str:
    """Return the name of the online return after most adaptations in a row, or nothing."""
    prefix = SCORE.partition("/")[0] + "/online_"
    indices = [key.removeprefix(prefix) for key in row if key.startswith(prefix)]
    numbers = [int(index) for index in indices if index.isdigit()]
    return f"{prefix}{max(numbers)}" if numbers else ""
