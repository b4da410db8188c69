import pytest
import torch
from torch import nn
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.learners.gradient_step import GradientStep, mean_terms


def weights():
    """Two numbers each of two networks."""
    first, second = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    nn.init.constant_(first.weight, 1.0)
    nn.init.constant_(second.weight, 2.0)
    return nn.ModuleDict({"first": first, "second": second})


def sgd(model, lr=0.1, **settings):
    return GradientStep(torch.optim.SGD(model.parameters(), lr=lr), "the toy", **settings)


def losses(model, first=(3.0, 0.0), second=(0.0, 4.0)):
    """Losses whose gradients are the numbers given."""
    return [
        (network.weight * torch.tensor(gradient)).sum()
        for network, gradient in zip(model.values(), (first, second), strict=True)
    ]


def values(model):
    return [network.weight.flatten().tolist() for network in model.values()]


def test_a_step_lowers_the_sum_of_losses_by_the_gradient():
    model = weights()
    norms = sgd(model).apply(*losses(model))
    assert_close(values(model), [[0.7, 1.0], [2.0, 1.6]])
    assert norms.keys() == {"grad_norm"} and norms["grad_norm"] == 5.0


def test_gradients_of_the_step_before_are_forgotten():
    model = weights()
    step = sgd(model)
    for _ in range(2):
        step.apply(*losses(model))
    assert_close(values(model), [[0.4, 1.0], [2.0, 1.2]])


@pytest.mark.parametrize(("limit", "factor"), [(2.5, 0.5), (5.5, 1.0)])
def test_all_gradients_get_the_factor_that_their_common_norm_asks_for(limit, factor):
    model = weights()
    norms = sgd(model, max_grad_norm=limit).apply(*losses(model))
    moved = [[1 - 0.3 * factor, 1.0], [2.0, 2 - 0.4 * factor]]
    assert_close(values(model), moved, atol=1e-5, rtol=0)
    assert norms["grad_norm"] == 5.0  # before clipping


def test_networks_apart_are_clipped_each_by_itself():
    model = weights()
    norms = sgd(model, max_grad_norm=3.5, apart=dict(model.items())).apply(*losses(model))
    assert_close(values(model), [[0.7, 1.0], [2.0, 1.65]], atol=1e-5, rtol=0)
    assert {name: norm.item() for name, norm in norms.items()} == {
        "first_grad_norm": 3.0,
        "second_grad_norm": 4.0,
    }


def test_a_parameter_without_a_part_in_the_losses_stays():
    model = weights()
    norms = sgd(model, max_grad_norm=1.5).apply(losses(model)[0])
    assert_close(values(model), [[0.85, 1.0], [2.0, 2.0]], atol=1e-5, rtol=0)
    assert norms["grad_norm"] == 3.0


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("apart", [False, True])
def test_a_gradient_that_is_not_finite_is_refused_and_changes_nothing(wrong, apart):
    model = weights()
    networks = dict(model.items()) if apart else None
    step = sgd(model, max_grad_norm=1.0, apart=networks)
    with pytest.raises(NonFiniteError, match="the gradient of the toy is not finite"):
        step.apply(*losses(model, second=(0.0, wrong)))
    assert values(model) == [[1.0, 1.0], [2.0, 2.0]]


def test_a_scaled_learning_rate_is_part_of_the_state():
    model = weights()
    step = sgd(model)
    step.scale_learning_rate(0.5)
    resumed = sgd(model)
    resumed.load_state_dict(step.state_dict())
    resumed.apply(*losses(model))
    assert_close(values(model), [[0.85, 1.0], [2.0, 1.8]])


def test_a_step_with_a_restored_state_goes_on_like_the_original():
    models, steps = [], []
    for _ in range(2):
        models.append(weights())
        adam = torch.optim.Adam(models[-1].parameters(), lr=0.1)
        steps.append(GradientStep(adam, "the toy"))
    for first in ((3.0, 0.0), (-1.0, 2.0)):
        steps[0].apply(*losses(models[0], first=first))
    models[1].load_state_dict(models[0].state_dict())
    steps[1].load_state_dict(tree.clone(steps[0].state_dict()))
    for model, step in zip(models, steps, strict=True):
        step.apply(*losses(model))
    assert values(models[1]) == values(models[0])


def test_terms_are_named_by_their_group_averaged_and_counted():
    history = [
        {"loss": torch.tensor(1.0), "norms": torch.tensor([2.0, 4.0])},
        {"loss": torch.tensor(3.0), "norms": torch.tensor([6.0, 8.0])},
    ]
    expected = {"toy/loss": 2.0, "toy/norms": 5.0, "toy/gradient_steps": 2.0}
    assert mean_terms(history, "toy") == expected
