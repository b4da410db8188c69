"""False alarms and power of the comparison behind `metarl compare`, simulated."""

import numpy as np
import pytest

from metarl_cli.reports.scores.differences import paired_difference

TASKS, REPETITIONS = 20, 2000


def sweep(rng, tasks, *, seeds=5, mean=10.0, seed=0.3, noise=0.5):
    """Scores around 10: tasks differ by 2, seeds by `seed`, single scores by `noise`."""
    luck = seed * rng.standard_normal((seeds, 1))
    return mean + tasks + luck + noise * rng.standard_normal((seeds, TASKS))


def alarms(loss, **law):
    """Share of comparisons that find the second sweep worse, with the same tasks on both sides."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(REPETITIONS):
        tasks = 2.0 * rng.standard_normal((1, TASKS))
        first, second = sweep(rng, tasks, **law), sweep(rng, tasks, **law) - loss
        found += paired_difference(first, second).high < 0
    return found / REPETITIONS


def test_difference_is_that_of_the_means_and_shows_every_task():
    first = np.array([[1.0, 2.0], [3.0, 4.0]])
    second = np.array([[5.0, 2.0], [5.0, 3.0]])
    found = paired_difference(first, second)
    assert found.value == 1.25
    assert found.per_task.tolist() == [3.0, -0.5]
    assert found.improvement == pytest.approx((1.0 + 0.375) / 2)
    assert found.over == "seeds"
    assert found.low < 1.25 < found.high


@pytest.mark.parametrize("law", [{}, {"seed": 1.0}, {"seed": 0.0}, {"seeds": 3}, {"seeds": 10}])
def test_sweeps_of_one_setting_raise_an_alarm_in_at_most_5_of_100_cases(law):
    assert alarms(0.0, **law) <= 0.05


def test_loss_of_a_tenth_is_found_with_five_seeds():
    assert alarms(1.0) >= 0.95  # seeds scatter by 3 % of the score
    assert alarms(1.0, seed=0.5) >= 0.7  # by 5 %


def test_interval_covers_a_difference_that_varies_between_tasks():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(REPETITIONS):
        tasks = rng.standard_normal((1, TASKS))
        gain = 0.5 * rng.standard_normal((1, TASKS))
        found = paired_difference(sweep(rng, tasks), sweep(rng, tasks) + gain)
        covered += found.low <= 0.0 <= found.high
    assert 0.93 <= covered / REPETITIONS <= 0.975
