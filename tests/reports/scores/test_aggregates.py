"""Point estimates against hand computations and against numbers of rliable 1.2.0."""

import numpy as np
import pytest

from metarl_cli.reports.scores.aggregates import (
    interquartile_mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from metarl_cli.reports.scores.intervals import stratified_bootstrap

SCORES = np.array(
    [
        [0.001, 0.599, 0.326, 0.009, 0.745, 0.508],
        [0.06, 1.64, 0.108, 0.28, 1.69, 1.857],
        [0.105, -0.63, 0.571, 1.595, -0.144, 1.042],
        [-1.901, -0.99, -1.242, 0.665, -0.067, 1.771],
        [0.157, 0.113, -1.917, 0.361, 1.151, 1.613],
    ]
)
OTHERS = np.array(
    [
        [-0.639, -0.148, -2.023, -0.116, 1.451, 0.887],
        [-1.537, -0.35, -1.285, 0.476, 0.002, 1.449],
        [-0.529, -0.466, 1.136, 0.502, 0.314, 0.893],
        [-0.273, 2.312, 0.468, -0.376, 1.389, 1.774],
        [-0.094, 0.821, 0.228, 0.341, 1.315, 0.069],
    ]
)


def test_middle_half_is_averaged():
    assert interquartile_mean(np.array([[100.0, 1.0, 2.0, -100.0]])) == 1.5
    assert interquartile_mean(np.array([[7.0]])) == 7.0
    assert interquartile_mean(np.arange(12.0).reshape(3, 2, 2)).shape == (3,)


def test_gap_does_not_credit_what_lies_above_the_target():
    assert optimality_gap(np.array([[2.0, 0.5]])) == 0.25


def test_a_tie_is_half_an_improvement():
    assert probability_of_improvement(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0]])) == 0.75


def test_point_estimates_are_those_of_rliable():
    assert interquartile_mean(SCORES) == pytest.approx(0.353125, abs=1e-12)
    assert median(SCORES) == pytest.approx(0.3642, abs=1e-12)
    assert optimality_gap(SCORES) == pytest.approx(0.8094333333333333, abs=1e-12)
    assert probability_of_improvement(SCORES, OTHERS) == pytest.approx(0.5666666666666668)
    profile = performance_profile(SCORES, np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    assert profile == pytest.approx([0.9, 0.7666666667, 0.4333333333, 0.2666666667, 0.0])


@pytest.mark.parametrize(
    ("tasks_too", "low", "high"), [(False, 0.1342, 0.6404), (True, -0.1023, 1.0097)]
)
def test_stratified_interval_is_that_of_rliable(tasks_too, low, high):
    """Means of four times 50,000 draws, which scatter by up to 0.01 from one to the next."""
    found = stratified_bootstrap(SCORES, repetitions=50_000, tasks_too=tasks_too)
    assert found == pytest.approx((low, high), abs=0.01)
