import numpy as np
import pytest
import torch
from torch.testing import assert_close

from metarl_cli.functional.statistics import (
    bootstrap_interval,
    explained_variance,
    masked_mean,
    whiten,
)

X = torch.tensor([[1.0, 3.0, 100.0], [2.0, 2.0, 2.0]])
MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])


def test_masked_mean_ignores_what_is_masked():
    assert masked_mean(X, MASK, -1).tolist() == [2, 2]
    assert masked_mean(X, MASK) == (1 + 3 + 6) / 5
    assert masked_mean(X, MASK, 0).tolist() == [1.5, 2.5, 2]


def test_masked_mean_of_nothing_is_zero():
    assert masked_mean(X, torch.zeros_like(X), -1).tolist() == [0, 0]


def test_whitened_rows_have_mean_0_and_standard_deviation_1_over_the_mask():
    white = whiten(X, MASK)
    assert_close(white[0], torch.tensor([-1.0, 1.0, 0.0]))


def test_whitening_a_constant_row_gives_zeros():
    assert whiten(X, MASK)[1].tolist() == [0, 0, 0]


def test_explained_variance_is_1_for_the_target_0_for_a_constant_and_masked():
    target = torch.tensor([1.0, 2.0, 3.0, 50.0])
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0])
    wild = torch.tensor([0.0, 0.0, 0.0, 1e6])
    assert explained_variance(target + wild, target, mask) == 1
    assert explained_variance(5 + wild, target, mask) == 0


def test_bootstrap_interval_of_equal_values_is_a_point():
    assert bootstrap_interval(np.full(5, 3.0)) == (3.0, 3.0)


def test_bootstrap_interval_is_the_same_at_every_call_and_contains_the_mean():
    values = np.arange(10.0)
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values) and low < 4.5 < high


@pytest.mark.parametrize(("level", "tolerance"), [(0.95, 0.04), (0.8, 0.06)])
def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says(level, tolerance):
    samples = np.random.default_rng(0).normal(2.0, 3.0, (400, 40))
    intervals = [bootstrap_interval(x, level=level, repetitions=300) for x in samples]
    coverage = np.mean([low <= 2.0 <= high for low, high in intervals])
    assert coverage == pytest.approx(level, abs=tolerance)
