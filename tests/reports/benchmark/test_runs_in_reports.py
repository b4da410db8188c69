"""Which runs are one method, what it is called, and what its scores are measured by."""

from pathlib import Path

import numpy as np
import pytest
from made_runs import evaluation

from metarl_cli.reports.benchmark.runs import MeasuredRun, curve_of, different_settings, panel
from metarl_cli.runtime.run_record import Identity


def run(name="a", returns=(1.0, 2.0), *, algo="maml", **settings):
    """A run whose settings are these, `__` in their names stands for a dot."""
    return MeasuredRun(
        name=name,
        path=Path(name),
        evaluation=evaluation(returns, algo=algo),
        identity=Identity(),
        settings={key.replace("__", "."): value for key, value in settings.items()},
    )


def labels(*runs):
    return [method.label for method in panel("point_nav", runs, {}).methods]


def test_seeds_names_machines_and_logs_make_no_other_method():
    one = run(seed=1, threads=1, name="x", budget__eval_every=10, algo__lr=0.1)
    other = run(seed=2, threads=4, tags=["y"], budget__eval_every=20, algo__lr=0.1)
    (method,) = panel("point_nav", [other, one], {}).methods
    assert [seed.seed for seed in method.runs] == [1, 2]
    assert method.scores.tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_whole_numbers_are_the_same_setting_with_and_without_a_point():
    assert labels(
        run(algo__k=3, algo__range=[0, 2.5]), run(algo__k=3.0, algo__range=[0.0, 2.5])
    ) == ["maml"]
    assert different_settings([{"k": 3, "v": 0.1}, {"k": 3.0, "v": 1.1}]) == ["v"]


def test_methods_of_one_algorithm_are_called_by_what_differs_or_by_their_runs():
    assert labels(run(algo__lr=1), run(algo__lr=2), run(algo="rl2")) == [
        "maml lr=1",
        "maml lr=2",
        "rl2",
    ]
    many = [dict.fromkeys(("algo__a", "algo__b", "algo__c", "algo__d"), x) for x in (1, 2)]
    assert labels(run("one", **many[0]), run("two", **many[1])) == ["one", "two"]
    assert labels(run("one", **many[0]), run("one", **many[1])) == ["one #1", "one #2"]


@pytest.mark.parametrize(
    ("anchors", "half"),
    [
        ({"stand_still": (-10.0,), "oracle": (0.0,)}, -5.0),
        ({"random": (0.0, 2.0), "bayes_optimal": (1.0, 4.0)}, 3.0),
        ({"at_rest": (0.0,)}, 50.0),  # the trained oracle gets 100
    ],
)
def test_scores_lie_between_doing_nothing_and_knowing_the_task(anchors, half):
    runs = [run(), run(algo="oracle", returns=(90.0, 110.0))]
    assert panel("point_nav", runs, anchors).normaliser(half) == 0.5


@pytest.mark.parametrize("anchors", [{}, {"oracle": (1.0,)}, {"random": (2.0,), "oracle": (1.0,)}])
def test_without_two_ends_in_order_nothing_is_normalised(anchors):
    assert panel("point_nav", [run()], anchors).normaliser is None


def test_curve_is_read_in_order_and_knows_what_is_not_recorded():
    rows = [
        {"env_steps": 20, "eval/score": 2.0, "time/wall_s": 4.0},
        {"env_steps": 10, "eval/score": 1.0},
        {"env_steps": 15, "train/return_0": 7.0},
    ]
    curve = curve_of(rows)
    assert curve.env_steps.tolist() == [10, 20]
    assert curve.score.tolist() == [1.0, 2.0]
    assert np.isnan(curve.wall_s[0]) and curve.wall_s[1] == 4.0
    assert curve_of([{"env_steps": 1, "train/return_0": 7.0}]) is None


def test_score_of_old_records_is_the_return_after_most_adaptations():
    rows = [{"env_steps": 1, "eval/online_0": 0.0, "eval/online_10": 3.0, "eval/online_2": 1.0}]
    assert curve_of(rows).score.tolist() == [3.0]
