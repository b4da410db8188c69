"""Giving up on a trial early: the median rule, for trials that are several runs.

Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.1, compares
the best value of a trial so far with the median of what others had reached at the same step. Here
a trial has a curve per seed, and its runs may be side by side or one after the other. So what is
compared are means over the same seeds at the same steps: as far as this trial's runs have come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from metarl_cli.sweeps.tuning.scores import Curve

STRIDE = 10**12  # between the steps of one seed and the next


def step_of(place: int, interval: int) -> int:
    """Return Optuna's step of an evaluation.

    Args:
        place: of the seed, in the list of seeds.
        interval: of the evaluation, as in a `Curve`.
    """
    return place * STRIDE + interval


def curves_of(intermediate_values: Mapping[int, float]) -> dict[int, Curve]:
    """Return the curves by the place of their seed, from the values of a trial by Optuna's step."""
    curves: dict[int, Curve] = {}
    for step, value in sorted(intermediate_values.items()):
        place, interval = divmod(step, STRIDE)
        curves.setdefault(place, {})[interval] = value
    return curves


@dataclass(frozen=True)
class MedianOverSeeds(BasePruner):
    """Prunes what is worse than most finished trials were at the same place."""

    percentile: float  # of the finished trials that a trial must not be below; 50: their median
    after_trials: int  # that must have finished
    after_evaluations: int  # of each run, which are not judged

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether to give up on a trial."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(finished) < max(1, self.after_trials):
            return False
        others = [curves_of(other.intermediate_values) for other in finished]
        return self.is_worse(curves_of(trial.intermediate_values), others)

    def is_worse(self, curves: Mapping[int, Curve], others: Iterable[Mapping[int, Curve]]) -> bool:
        """Compare the curves of a trial with those of finished ones."""
        places = {
            place: max(curve)
            for place, curve in curves.items()
            if curve and max(curve) >= self.after_evaluations
        }
        if not places:
            return False
        theirs = [mean for other in others if (mean := _mean_at(other, places)) is not None]
        own = np.mean([curves[place][interval] for place, interval in places.items()])
        return bool(theirs) and bool(own < np.percentile(theirs, self.percentile))


def _mean_at(curves: Mapping[int, Curve], places: Mapping[int, int]) -> float | None:
    """Mean over seeds of what was reached by given intervals; None where a run had nothing yet."""
    reached = [_value_at(curves.get(place, {}), interval) for place, interval in places.items()]
    mean = float(np.mean(reached))
    return None if math.isnan(mean) else mean


def _value_at(curve: Curve, interval: int) -> float:
    return curve[max(known)] if (known := [k for k in curve if k <= interval]) else math.nan
