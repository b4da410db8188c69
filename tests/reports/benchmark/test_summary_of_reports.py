"""Curves, profiles and thresholds of a panel, with numbers to check by hand."""

import dataclasses

import numpy as np
import pytest
from made_runs import evaluation
from test_runs_in_reports import run

from metarl_cli.reports.benchmark.runs import Curve, panel
from metarl_cli.reports.benchmark.summary import GRID, PanelSummary


def learner(seed, steps, scores, *, seconds=None, **settings):
    wall_s = np.full(len(steps), np.nan) if seconds is None else np.array(seconds, float)
    curve = Curve(np.array(steps, float), np.array(scores, float), wall_s)
    return dataclasses.replace(run(seed=seed, **settings), curve=curve)


def summary(*runs, threshold=0.9):
    return PanelSummary(panel("point_nav", runs, {}), threshold)


def test_learning_curve_is_drawn_where_all_seeds_were_evaluated():
    runs = [
        learner(0, [0, 10, 20], [0, 10, 20]),
        learner(1, [5, 15], [2, 4]),
        learner(2, [0, 20], [6, 6]),
    ]
    band = summary(*runs).learning["maml"]
    assert list(band.x) == [5, 15]
    assert [e.value for e in band.estimates] == [
        pytest.approx((5 + 2 + 6) / 3),
        pytest.approx((15 + 4 + 6) / 3),
    ]
    assert {e.over for e in band.estimates} == {"seeds"}
    assert all(e.low < e.value < e.high for e in band.estimates)


def test_long_records_are_drawn_with_few_points_and_two_seeds_without_a_band():
    steps = np.arange(1000)
    band = summary(*(learner(seed, steps, steps) for seed in range(2))).learning["maml"]
    assert len(band.x) == GRID and band.x[-1] == 999
    assert band.estimates[-1].value == 999 and band.estimates[-1].low is None


def test_seeds_without_a_common_stretch_have_no_curve():
    assert summary(learner(0, [0, 1], [0, 1]), learner(1, [5, 6], [0, 1])).learning == {}


def test_threshold_is_part_of_the_way_of_the_best_method():
    good = [learner(seed, [0, 10], [0, 10], seconds=[1, 3], algo__lr=1) for seed in range(3)]
    poor = [learner(seed, [0, 10], [0, 4], algo__lr=2) for seed in range(3)]
    found = summary(*good, *poor, threshold=0.5)
    assert found.threshold == 5.0
    reached = [row.reached for row in found.rows]
    assert (reached[0].num, reached[0].env_steps, reached[0].wall_s) == (3, 10, 3)
    assert (reached[1].num, reached[1].env_steps, reached[1].wall_s) == (0, None, None)


def test_adaptation_curve_is_over_episodes_spent():
    one = dataclasses.replace(run(), evaluation=evaluation([[1.0, 3.0], [5.0, 7.0]]))
    band = summary(one).adaptation["maml"]
    assert list(band.x) == [0, 2]  # two environments per task
    assert [e.value for e in band.estimates] == [2.0, 6.0]


def test_names_of_lines_that_lie_close_stand_together():
    anchors = {
        "stand_still": (0.0,),
        "oracle": (5.0, 10.0),
        "bayes_optimal": (9.8,),
        "walk": (5.0,),
    }
    found = PanelSummary(panel("point_nav", [run()], anchors), 0.9)
    assert found.anchor_levels == [
        ("oracle, bayes optimal", 10.0),
        ("", 9.8),
        ("walk", 5.0),
        ("stand still", 0.0),
    ]


def test_profile_falls_from_all_to_none():
    found = summary(run(returns=(0.0, 1.0, 2.0, 4.0)))
    profile = found.profiles["maml"]
    assert found.levels[0] < 0.0 and found.levels[-1] == 4.0
    assert (profile[0], profile[-1]) == (1.0, 0.0)
    assert (np.diff(profile) <= 0).all()


def test_a_seed_that_counts_twice_is_said():
    assert any(
        "same seed more than once" in x for x in summary(run(seed=1), run("b", seed=1)).notes
    )
    assert not any("same seed" in note for note in summary(run(seed=1), run("b", seed=2)).notes)
