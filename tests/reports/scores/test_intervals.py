"""How often the printed interval covers the truth, simulated with 5 seeds and 20 tasks."""

import numpy as np
import pytest

from metarl_cli.reports.scores.aggregates import interquartile_mean
from metarl_cli.reports.scores.intervals import crossed_interval, stratified_bootstrap

SEEDS, TASKS, REPETITIONS = 5, 20, 2000


def normal(rng, shape):
    return rng.standard_normal(shape)


def heavy(rng, shape):
    """Of Student's distribution with 3 degrees of freedom, of variance 1."""
    return rng.standard_t(3, shape) / np.sqrt(3)


def skewed(rng, shape):
    """Most tasks are a little harder than the average, some are much easier."""
    return rng.exponential(size=shape) - 1


def draw(rng, seed, task, noise, kinds=(normal, normal, normal), shape=(SEEDS, TASKS)):
    """Scores with effects of seeds, of tasks and of chance, of these standard deviations."""
    seeds, tasks = shape
    of_seeds, of_tasks, rest = kinds
    effects = seed * of_seeds(rng, (seeds, 1)) + task * of_tasks(rng, (1, tasks))
    return effects + noise * rest(rng, shape)


def coverage(interval, truth, repetitions=REPETITIONS, **law):
    rng = np.random.default_rng(1)
    bounds = np.array([interval(draw(rng, **law)) for _ in range(repetitions)])
    return float(((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean())


def printed(scores):
    found = crossed_interval(scores)
    return found.low, found.high


@pytest.mark.parametrize(
    "law",
    [
        {"seed": 0.0, "task": 1.0, "noise": 0.5},
        {"seed": 0.1, "task": 1.0, "noise": 0.3},
        {"seed": 0.3, "task": 1.0, "noise": 0.5},
        {"seed": 0.5, "task": 0.7, "noise": 0.5},
        {"seed": 1.0, "task": 0.5, "noise": 0.5},
        {"seed": 1.0, "task": 0.1, "noise": 0.1},
        {"seed": 0.5, "task": 0.7, "noise": 0.5, "kinds": (heavy, heavy, heavy)},
        {"seed": 0.3, "task": 0.5, "noise": 1.0, "kinds": (normal, normal, heavy)},
        {"seed": 1.0, "task": 0.5, "noise": 0.5, "kinds": (heavy, normal, normal)},
    ],
)
def test_printed_interval_covers_in_93_to_97_of_100_cases(law):
    assert 0.93 <= coverage(printed, 0.0, **law) <= 0.97


def test_skewed_tasks_are_covered_as_well():
    law = {"seed": 0.3, "task": 1.0, "noise": 0.5, "kinds": (normal, skewed, normal)}
    many = draw(np.random.default_rng(0), **law, shape=(1, 1_000_000))
    many = np.sort(
        many - many.mean() + 0.3 * np.random.default_rng(1).standard_normal(many.shape), axis=None
    )
    truth = many[250_000:750_000].mean()
    assert 0.93 <= coverage(printed, truth, **law) <= 0.97


def test_interval_is_wider_than_needed_where_neither_seeds_nor_tasks_matter():
    assert coverage(printed, 0.0, seed=0.0, task=0.0, noise=1.0) >= 0.97


def test_resampling_within_tasks_misses_the_truth_where_seeds_differ():
    """Why the interval of rliable is not what is printed."""

    def resampled(scores):
        return stratified_bootstrap(scores, repetitions=200)

    assert coverage(resampled, 0.0, 300, seed=0.5, task=0.7, noise=0.5) < 0.6


def test_too_few_seeds_or_tasks_are_said_and_not_extrapolated_from():
    rng = np.random.default_rng(0)
    assert crossed_interval(rng.normal(size=(5, 20))).over == "seeds and tasks"
    assert crossed_interval(rng.normal(size=(2, 20))).over == "tasks"
    assert crossed_interval(rng.normal(size=(5, 2))).over == "seeds"
    nothing = crossed_interval(np.array([[1.0, 2.0]]))
    assert (nothing.over, nothing.low, nothing.high) == ("nothing", None, None)


@pytest.mark.parametrize("shape", [(3, 20), (5, 2), (10, 2), (10, 1), (1, 20), (2, 20)], ids=str)
def test_interval_over_seeds_or_tasks_alone_or_of_three_seeds_covers(shape):
    """What is no sample varies not at all here: the truth must be one number."""
    many_seeds, many_tasks = shape[0] > 2, shape[1] > 2
    law = {"seed": 1.0 * many_seeds, "task": 0.3 * many_tasks, "noise": 0.3, "shape": shape}
    assert 0.925 <= coverage(printed, 0.0, **law) <= 0.975


@pytest.mark.parametrize("shape", [(1, 20), (2, 3), (4, 1), (3, 6)])
def test_value_is_the_interquartile_mean_of_all_scores_whatever_the_interval_is_over(shape):
    scores = np.random.default_rng(0).normal(size=shape)
    assert crossed_interval(scores).value == interquartile_mean(scores)


def test_scores_that_are_all_the_same_have_an_interval_of_no_width():
    found = crossed_interval(np.ones((5, 20)))
    assert found.value == found.low == found.high == 1.0
