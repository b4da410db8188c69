import pytest
import torch
from torch.testing import assert_close

from metarl_cli.algorithms.maml.linear_baseline import (
    baseline_advantage,
    fit_predict,
    time_features,
)


def test_time_features_by_hand():
    obs = torch.tensor([[[2.0, -30.0]], [[0.0, 1.0]]])  # [T, B, O] = [2, 1, 2]
    features = time_features(obs)
    assert features.dtype == torch.float64
    assert features[0, 0].tolist() == [2, -10, 4, 100, 0, 0, 0, 1]  # clipped to [-10, 10]
    assert_close(
        features[1, 0], torch.tensor([0, 1, 0, 1, 0.01, 1e-4, 1e-6, 1], dtype=torch.float64)
    )


def test_fit_recovers_a_function_linear_in_the_features_of_each_task():
    torch.manual_seed(0)
    features = torch.randn(3, 50, 6, dtype=torch.float64)
    coefficients = torch.randn(3, 6, 1, dtype=torch.float64)
    target = (features @ coefficients).squeeze(-1)
    fitted = fit_predict(features, target, torch.ones(3, 50))
    assert_close(fitted, target, atol=1e-4, rtol=0)


def test_masked_samples_do_not_touch_the_fit():
    features = torch.stack([torch.arange(6.0), torch.ones(6)], -1).double().unsqueeze(0)
    target = (2 * features[..., 0] + 1).clone()
    target[0, 3] = 1e6
    mask = torch.ones(1, 6)
    mask[0, 3] = 0
    expected = 2 * torch.arange(6.0).double() + 1
    assert_close(fit_predict(features, target, mask)[0], expected, atol=1e-3, rtol=0)


def test_prediction_has_the_type_of_the_target():
    features = torch.ones(1, 4, 1, dtype=torch.float64)
    assert fit_predict(features, torch.ones(1, 4), torch.ones(1, 4)).dtype == torch.float32


def test_ridge_shrinks_by_the_textbook_amount():
    # One feature equal to 1, M = 4 targets of 3: w = 12 / (4 + ridge).
    features = torch.ones(1, 4, 1, dtype=torch.float64)
    target = torch.full((1, 4), 3.0, dtype=torch.float64)
    assert_close(fit_predict(features, target, torch.ones(1, 4), ridge=2.0), target * 4 / 6)


def test_singular_systems_are_fitted_with_more_ridge():
    # Two proportional huge features: adding 1e-5 to 1e14 is lost in rounding, adding 0.1 is not.
    features = torch.tensor([3e6, 9e6], dtype=torch.float64).expand(1, 5, 2)
    gram = features[0].T @ features[0]
    assert torch.linalg.cholesky_ex(gram + 1e-5 * torch.eye(2))[1] > 0
    target = torch.full((1, 5), 7.0, dtype=torch.float64)
    assert_close(fit_predict(features, target, torch.ones(1, 5)), target, atol=0.05, rtol=0)


def one_row(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)  # [T, 1]


def advantage_of(obs, reward, active, **settings):
    settings = {"num_tasks": 1, "discount": 0.5, "gae_lambda": 1.0} | settings
    return baseline_advantage(obs, reward, active, **settings)


def test_baseline_that_fits_exactly_leaves_no_advantage():
    # Four steps, four independent time features: the fit is exact up to the ridge.
    obs = torch.eye(4, dtype=torch.float64).unsqueeze(1)
    advantage, value, returns = advantage_of(obs, one_row(1, 0, 2, 4), torch.ones(4, 1))
    assert_close(returns, one_row(1 + 0.5**2 * 4, 4, 4, 4) - one_row(0, 2, 0, 0))
    assert_close(value, returns, atol=1e-3, rtol=0)
    assert_close(advantage, torch.zeros(4, 1).double(), atol=1e-3, rtol=0)


def test_advantage_of_two_equal_observations_is_the_deviation_from_their_mean():
    # One step, two environments: the baseline can only learn the mean return 4.
    obs, reward = torch.zeros(1, 2, 1), torch.tensor([[3.0, 5.0]])
    advantage, value, returns = advantage_of(obs, reward, torch.ones(1, 2))
    assert returns.tolist() == [[3, 5]]
    assert_close(value, torch.full((1, 2), 4.0), atol=1e-4, rtol=0)
    assert_close(advantage, torch.tensor([[-1.0, 1.0]]), atol=1e-4, rtol=0)


def test_each_task_has_a_baseline_of_its_own():
    obs, reward = torch.zeros(1, 4, 1), torch.tensor([[3.0, 5.0, 10.0, 30.0]])
    _, value, _ = advantage_of(obs, reward, torch.ones(1, 4), num_tasks=2)
    assert_close(value, torch.tensor([[4.0, 4.0, 20.0, 20.0]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.9, 1.0])
def test_steps_after_the_end_have_no_advantage_and_no_influence(gae_lambda):
    torch.manual_seed(0)
    obs, reward = torch.randn(5, 4, 2), torch.randn(5, 4)
    active = torch.ones(5, 4)
    active[3:, 1] = 0
    reward = reward * active
    other = obs.clone()
    other[3:, 1] = 9.0
    first = advantage_of(obs, reward, active, gae_lambda=gae_lambda)
    second = advantage_of(other, reward, active, gae_lambda=gae_lambda)
    for ours, theirs in zip(first, second, strict=True):
        assert_close(ours, theirs)
        assert ours[3:, 1].tolist() == [0, 0]


def test_advantage_with_lambda_zero_is_the_one_step_error():
    torch.manual_seed(0)
    obs, reward = torch.randn(4, 3, 2), torch.randn(4, 3)
    advantage, value, _ = advantage_of(obs, reward, torch.ones(4, 3), gae_lambda=0.0)
    following = torch.cat([value[1:], torch.zeros(1, 3)])
    assert_close(advantage, reward + 0.5 * following - value)
