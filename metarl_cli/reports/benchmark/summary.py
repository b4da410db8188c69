"""The numbers of a report: one definition for its tables, pictures and page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metarl_cli.reports.benchmark.runs import (
    Curve,
    MeasuredRun,
    Method,
    Panel,
    last_returns,
)
from metarl_cli.reports.scores.aggregates import (
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from metarl_cli.reports.scores.intervals import FEWEST_SEEDS, Estimate, crossed_interval

GRID = 60  # points of a curve over seeds
MOST_EPISODES = 60  # of an adaptation curve
LEVELS = 81  # of a performance profile
NEAR = 0.05  # of the height of a picture: names of two lines would lie on each other


@dataclass(frozen=True)
class Band:
    """A curve with its intervals."""

    x: Sequence[float]
    estimates: Sequence[Estimate]


@dataclass(frozen=True)
class Reached:
    """When runs came to the threshold; medians over those that did."""

    num: int
    env_steps: float | None
    wall_s: float | None


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A method on a task distribution.

    Attributes:
        estimate: of the return after all adaptations, by the checkpoint best on validation.
        normalised: the same in the panel's units.
        final: of the return after all adaptations, by the last checkpoint; None: not tested.
        validation_best: mean over seeds of the best validation scores.
        validation_last: of the last ones.
        wall_s: mean of the whole trainings.
    """

    env: str
    method: str
    seeds: int
    tasks: int
    adaptations: int
    estimate: Estimate
    mean: float
    median: float
    normalised: Estimate | None
    gap: float | None
    final: Estimate | None
    validation_best: float | None
    validation_last: float | None
    reached: Reached | None
    env_steps: float | None
    wall_s: float | None


class PanelSummary:
    """All numbers of one panel.

    Args:
        panel: methods on the same tasks.
        threshold: share of the way from the first validation score to the best method's last one.
    """

    def __init__(self, panel: Panel, threshold: float) -> None:
        self.panel = panel
        self._share = threshold

    @cached_property
    def learning(self) -> dict[str, Band]:
        """By method: validation scores over environment steps, on steps that all its runs have."""
        bands = {method.label: _learning(method) for method in self.panel.methods}
        return {label: band for label, band in bands.items() if band is not None}

    @cached_property
    def adaptation(self) -> dict[str, Band]:
        """By method: returns on the test tasks over episodes spent in the task."""
        return {method.label: _adaptation(method) for method in self.panel.methods}

    @cached_property
    def anchor_levels(self) -> list[tuple[str, float]]:
        """Names and returns of simple policies from above; where two lie close, one has no name."""
        returns = sorted(last_returns(self.panel.anchors).items(), key=lambda item: -item[1])
        shown = [value for _, value in returns]
        shown += [e.value for band in self.adaptation.values() for e in band.estimates]
        near = NEAR * (max(shown) - min(shown))
        levels: list[tuple[list[str], float]] = []
        last = np.inf
        for name, value in returns:
            if last - value > near:
                levels.append(([name], value))
                last = value
            else:
                close = next(names for names, _ in reversed(levels) if names)
                close.append(name)
                levels.append(([], value))
        return [(", ".join(names).replace("_", " "), value) for names, value in levels]

    @cached_property
    def levels(self) -> np.ndarray:
        """Scores at which performance profiles are looked at, `[L]`."""
        scores = [self._in_units(method) for method in self.panel.methods]
        low, high = min(map(np.min, scores)), max(map(np.max, scores))
        return np.linspace(
            low - 0.02 * (high - low or 1.0), high, LEVELS
        )  # all lie above the first

    @cached_property
    def profiles(self) -> dict[str, np.ndarray]:
        """By method: the share of runs and tasks above each level, `[L]`."""
        return {
            method.label: performance_profile(self._in_units(method), self.levels)
            for method in self.panel.methods
        }

    @cached_property
    def improvements(self) -> dict[tuple[str, str], float]:
        """By two methods: the chance that a run of the first beats one of the second in a task."""
        return {
            (one.label, other.label): probability_of_improvement(one.scores, other.scores)
            for one, other in itertools.permutations(self.panel.methods, 2)
        }

    @cached_property
    def threshold(self) -> float | None:
        """The validation score that counts as learned; None where no run has a curve."""
        starts = [run.curve.score[0] for run in self._runs if run.curve]
        ends = [band.estimates[-1].value for band in self.learning.values()]
        if not starts or not ends:
            return None
        start = float(np.median(starts))
        return start + self._share * (max(ends) - start)

    @cached_property
    def rows(self) -> list[TableRow]:
        """The table."""
        return [self._row(method) for method in self.panel.methods]

    @cached_property
    def notes(self) -> list[str]:
        """What a reader must know before trusting the numbers."""
        few = [m.label for m in self.panel.methods if len(m.runs) < FEWEST_SEEDS]
        twice = [m.label for m in self.panel.methods if _has_twice([run.seed for run in m.runs])]
        overs = {row.estimate.over for row in self.rows}
        notes = []
        if few:
            notes.append(
                f"too few seeds for an interval over seeds (fewer than {FEWEST_SEEDS}): "
                + ", ".join(few)
            )
        if "seeds" in overs or "nothing" in overs:
            notes.append("too few tasks for an interval over tasks: they count as the whole list")
        if twice:
            notes.append(
                "the same seed more than once, so no independent runs: " + ", ".join(twice)
            )
        return notes

    @property
    def _runs(self) -> list[MeasuredRun]:
        return [run for method in self.panel.methods for run in method.runs]

    def _in_units(self, method: Method) -> np.ndarray:
        normaliser = self.panel.normaliser
        return method.scores if normaliser is None else normaliser(method.scores)

    def _row(self, method: Method) -> TableRow:
        normaliser = self.panel.normaliser
        units = None if normaliser is None else normaliser(method.scores)
        final = method.final_scores
        curves = [run.curve for run in method.runs if run.curve is not None]
        return TableRow(
            env=self.panel.env,
            method=method.label,
            seeds=method.scores.shape[0],
            tasks=method.scores.shape[1],
            adaptations=method.adaptations - 1,
            estimate=crossed_interval(method.scores),
            mean=float(method.scores.mean()),
            median=median(method.scores),
            normalised=None if units is None else crossed_interval(units),
            gap=None if units is None else optimality_gap(units),
            final=None if final is None else crossed_interval(final),
            validation_best=_mean([float(curve.score.max()) for curve in curves]),
            validation_last=_mean([float(curve.score[-1]) for curve in curves]),
            reached=self._reached(curves),
            env_steps=_mean([run.identity.env_steps for run in method.runs]),
            wall_s=_mean([run.identity.wall_s for run in method.runs]),
        )

    def _reached(self, curves: Sequence[Curve]) -> Reached | None:
        if self.threshold is None or not curves:
            return None
        when = [np.flatnonzero(curve.score >= self.threshold) for curve in curves]
        there = [(c, int(i[0])) for c, i in zip(curves, when, strict=True) if len(i)]
        steps = [float(curve.env_steps[index]) for curve, index in there]
        walls = [float(curve.wall_s[index]) for curve, index in there]
        walls = [wall for wall in walls if not np.isnan(wall)]
        return Reached(
            len(there),
            float(np.median(steps)) if steps else None,
            float(np.median(walls)) if walls else None,
        )


def _learning(method: Method) -> Band | None:
    curves = [run.curve for run in method.runs if run.curve is not None]
    if not curves:
        return None
    first = max(curve.env_steps[0] for curve in curves)
    last = min(curve.env_steps[-1] for curve in curves)
    if first > last:
        return None
    fewest = min((curve.env_steps for curve in curves), key=len)
    grid = np.unique(fewest.clip(first, last))
    if len(grid) > GRID:
        grid = np.linspace(first, last, GRID)
    scores = np.stack([np.interp(grid, curve.env_steps, curve.score) for curve in curves])
    return Band(grid.tolist(), [crossed_interval(column[:, None]) for column in scores.T])


def _adaptation(method: Method) -> Band:
    num = method.adaptations
    shown = np.unique(np.linspace(0, num - 1, min(num, MOST_EPISODES)).round().astype(int))
    per_index = method.runs[0].evaluation.envs_per_task
    return Band(
        [int(index) * per_index for index in shown],
        [crossed_interval(method.returns(int(index))) for index in shown],
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _has_twice(seeds: Sequence[int | None]) -> bool:
    known = [seed for seed in seeds if seed is not None]
    return len(set(known)) < len(known)
