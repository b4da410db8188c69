"""Decisions to give up on a trial, small enough to be made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.sweeps.tuning.pruning import MedianOverSeeds, curves_of, step_of
from metarl_cli.sweeps.tuning.scores import ScoreFollower

MEDIAN = MedianOverSeeds(percentile=50, after_trials=3, after_evaluations=1)
# Three finished trials of two seeds: {place of the seed: {interval: best so far}}
FINISHED = [
    {0: {0: 0.0, 1: 1.0, 2: 4.0}, 1: {0: 0.0, 1: 3.0, 2: 4.0}},
    {0: {0: 0.0, 1: 2.0, 2: 5.0}, 1: {0: 0.0, 1: 4.0, 2: 5.0}},
    {0: {0: 0.0, 1: 3.0, 2: 6.0}, 1: {0: 0.0, 1: 5.0, 2: 6.0}},
]


@pytest.mark.parametrize(
    ("curves", "worse"),
    [
        ({}, False),
        ({0: {0: -9.0}}, False),  # the first evaluation is not judged
        ({0: {0: 0.0, 1: 1.9}}, True),  # the others had 1, 2 and 3
        ({0: {0: 0.0, 1: 2.0}}, False),
        ({0: {0: 0.0, 1: 1.0}, 1: {0: 0.0, 1: 5.5}}, False),  # mean 3.25 against 2, 3 and 4
        ({0: {0: 0.0, 1: 1.0}, 1: {0: 0.0, 1: 4.5}}, True),  # mean 2.75
        ({0: {0: 0.0, 2: 6.0}, 1: {0: 0.0, 1: 2.5}}, True),  # mean 4.25 against 3.5, 4.5, 5.5
        ({0: {0: 0.0, 2: 6.0}, 1: {0: -9.0}}, False),  # the second seed has only begun
        ({0: {1: 2.0}, 1: {7: 4.9}}, True),  # mean 3.45 against 2.5, 3.5, 4.5: theirs stayed
    ],
)
def test_trial_is_worse_than_the_median_at_the_same_seeds_and_steps(
    curves: dict, worse: bool
) -> None:
    assert MEDIAN.is_worse(curves, FINISHED) is worse


def test_nothing_is_pruned_before_enough_trials_have_finished() -> None:
    study = optuna.create_study(direction="maximize", pruner=MEDIAN)
    bad = study.ask()
    bad.report(-9.0, step_of(0, 1))
    for value in (1.0, 2.0, 3.0):
        assert not bad.should_prune()
        trial = study.ask()
        trial.report(value, step_of(0, 1))
        study.tell(trial, value)
    assert bad.should_prune()


def test_curves_keep_seeds_apart() -> None:
    values = {step_of(0, 0): 1.0, step_of(1, 0): 2.0, step_of(1, 3): 4.0}
    assert curves_of(values) == {0: {0: 1.0}, 1: {0: 2.0, 3: 4.0}}


def line(env_steps: int, score: float | None) -> str:
    return json.dumps({"env_steps": env_steps, "eval/score": score}) + "\n"


def test_curve_is_the_best_score_so_far_by_interval(tmp_path: Path) -> None:
    run = RunRecord(tmp_path)
    scores = ScoreFollower(run, eval_every=100)
    assert scores.look() == {}
    rows = line(50, -3.0) + line(120, None) + line(199, -1.0) + line(390, -2.0)
    run.files.record.write_text(rows + '{"env_steps": 400}\n{"torn')
    assert scores.look() == {0: -3.0, 1: -1.0, 3: -1.0}
    # From its checkpoint at 120 steps on, the run does again what it did
    run.files.record.write_text(line(50, -3.0) + line(120, None) + line(199, -1.0))
    assert scores.look() == {0: -3.0, 1: -1.0, 3: -1.0}
    run.files.record.write_text(rows + line(410, -0.5))
    assert scores.look() == {0: -3.0, 1: -1.0, 3: -1.0, 4: -0.5}
