import numpy as np
import torch
from torch.testing import assert_close

from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.stacked import stack_copies


def take_in(normalizer, samples):
    normalizer.update_statistics(samples, torch.ones(samples.shape[:-1]))


def batches():
    generator = np.random.default_rng(0)
    return [generator.normal(3.0, [1.0, 5.0], (2, m, 2)).astype(np.float32) for m in (4, 1, 7)]


def test_running_moments_equal_those_of_all_samples_in_each_group():
    normalizer = stack_copies(Normalizer(2), 2)
    for batch in batches():
        take_in(normalizer, torch.from_numpy(batch))
    everything = np.concatenate(batches(), 1)
    assert_close(normalizer.mean, torch.from_numpy(everything.mean(1)), rtol=1e-4, atol=1e-5)
    z = normalizer(torch.from_numpy(everything))
    expected = (everything - everything.mean(1, keepdims=True)) / everything.std(1, keepdims=True)
    assert_close(z, torch.from_numpy(expected), rtol=1e-3, atol=1e-3)


def test_samples_may_have_any_leading_shape():
    flat, trials = Normalizer(2), Normalizer(2)
    samples = torch.from_numpy(batches()[0])  # [2, 4, 2]
    mask = torch.tensor([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    trials.update_statistics(samples, mask)
    flat.update_statistics(samples.flatten(0, 1), mask.flatten())
    assert flat.mean.equal(trials.mean) and flat.variance.equal(trials.variance)
    assert flat.count.tolist() == trials.count.tolist() == [5]


def test_samples_outside_the_mask_do_not_count():
    one, other = Normalizer(2), Normalizer(2)
    first, *_ = (torch.from_numpy(batch[:1]) for batch in batches())
    take_in(one, first[:, :3])
    other.update_statistics(first, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    other.update_statistics(first, torch.zeros(1, 4))
    assert_close(one.mean, other.mean)
    assert_close(one.variance, other.variance)
    assert one.count.item() == other.count.item() == 3


def test_normalizer_is_the_identity_before_any_sample_and_clips():
    normalizer = Normalizer(1, clip=2.0)
    assert normalizer(torch.tensor([[1.5], [-9.0]])).tolist() == [[1.5], [-2]]


def test_restore_undoes_normalisation():
    normalizer = Normalizer(2)
    take_in(normalizer, torch.from_numpy(batches()[2][:1]))
    x = torch.randn(3, 2)
    assert_close(normalizer.restore(normalizer(x)), x)


def test_constant_feature_stays_finite():
    normalizer = Normalizer(1)
    take_in(normalizer, torch.full((1, 9, 1), 5.0))
    assert normalizer(torch.full((1, 1, 1), 5.0)).abs().item() < 1e-3


def test_a_mean_far_from_zero_takes_nothing_off_the_precision_of_the_deviation():
    normalizer = Normalizer(1)
    for batch in ([9999.0, 10001.0], [10001.0, 9999.0, 10001.0, 9999.0]):
        take_in(normalizer, torch.tensor(batch).unsqueeze(-1))
    assert_close(normalizer.variance, torch.tensor([1.0]), rtol=1e-3, atol=0)
    assert_close(normalizer(torch.tensor([[10002.0]])), torch.tensor([[2.0]]), rtol=1e-3, atol=0)
