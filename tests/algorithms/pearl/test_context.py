import torch
from torch.testing import assert_close

from metarl_cli.algorithms.pearl.context import ContextEncoder, kl_from_prior, posterior


def evidence_of(*factors):
    """Evidence of factors (mean, variance) in one dimension."""
    precision = sum(1 / variance for _, variance in factors)
    weighted = sum(mean / variance for mean, variance in factors)
    return torch.tensor([precision, weighted])


def test_product_of_two_factors_weighs_means_by_precision():
    belief = posterior(evidence_of((0.0, 1.0), (3.0, 0.5)))
    assert_close(belief.mean, torch.tensor([2.0]))  # (0 + 2 * 3) / 3
    assert_close(belief.log_std.exp().square(), torch.tensor([1 / 3]))


def test_without_evidence_the_belief_is_the_prior():
    belief = posterior(torch.zeros(4, 6))
    assert belief.mean.eq(0).all() and belief.log_std.eq(0).all()
    assert kl_from_prior(belief).tolist() == [0.0] * 4


def test_order_does_not_matter_and_sets_can_be_taken_in_piece_by_piece():
    torch.manual_seed(0)
    encoder = ContextEncoder(3, 2, [8])
    context = torch.randn(4, 6, 3)
    whole = encoder.evidence(context)
    assert_close(encoder.evidence(context[:, torch.randperm(6)]), whole)
    pieces = encoder.evidence(context[:, :2]) + encoder.evidence(context[:, 2:])
    assert_close(pieces, whole)


def test_masked_transitions_say_nothing():
    torch.manual_seed(0)
    encoder = ContextEncoder(3, 2, [8])
    context, mask = torch.randn(2, 5, 3), torch.tensor([[1.0, 1, 0, 0, 1]] * 2)
    assert_close(encoder.evidence(context, mask), encoder.evidence(context[:, [0, 1, 4]]))
