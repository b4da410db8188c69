import numpy as np
import pytest

from metarl_cli.envs.base.random_rows import RowRandom

ALL = np.arange


def seeded(seeds):
    random = RowRandom(len(seeds))
    random.seed(seeds)
    return random


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_row_gives_the_same_numbers_in_any_batch(draw):
    seeds = list(range(100, 167))
    batch = getattr(seeded(seeds), draw)(5, ALL(67))
    for row, seed in enumerate(seeds):
        alone = getattr(seeded([seed]), draw)(5, ALL(1))
        np.testing.assert_array_equal(alone[0], batch[row])


def test_only_the_named_rows_move_on():
    random, reference = seeded([1, 2, 3]), seeded([1, 2, 3])
    random.uniform(4, np.array([0, 2]))
    np.testing.assert_array_equal(
        random.uniform(4, np.array([1])), reference.uniform(4, ALL(3))[1:2]
    )


def test_cutting_a_stream_in_two_changes_nothing():
    random = seeded([7])
    parts = np.concatenate([random.uniform(2, ALL(1)), random.uniform(3, ALL(1))], axis=1)
    np.testing.assert_array_equal(parts, seeded([7]).uniform(5, ALL(1)))


def test_skipping_is_drawing_without_looking():
    random, reference = seeded([1, 2]), seeded([1, 2])
    random.skip(3, np.array([1]))
    reference.uniform(3, np.array([1]))
    np.testing.assert_array_equal(random.uniform(2, ALL(2)), reference.uniform(2, ALL(2)))


def test_neighbouring_seeds_give_uncorrelated_uniform_numbers():
    numbers = seeded(list(range(200))).uniform(500, ALL(200))
    assert numbers.min() >= 0.0 and numbers.max() < 1.0
    assert abs(numbers.mean() - 0.5) < 0.005
    assert abs(numbers.var() - 1 / 12) < 0.002
    correlation = np.corrcoef(numbers)[np.triu_indices(200, 1)]
    assert abs(correlation.mean()) < 0.002 and np.abs(correlation).max() < 0.25


def test_normal_numbers_have_mean_zero_and_variance_one():
    numbers = seeded(list(range(100))).normal(501, ALL(100))
    assert numbers.shape == (100, 501) and np.isfinite(numbers).all()
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.var() - 1.0) < 0.02
    assert abs((numbers**4).mean() - 3.0) < 0.15


def test_unseeded_streams_differ():
    assert (RowRandom(2).uniform(1, ALL(2)) != RowRandom(2).uniform(1, ALL(2))).all()
