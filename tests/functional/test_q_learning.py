import torch
from torch.testing import assert_close

from metarl_cli.algorithms.dream.information import embedding_distance, information_gain
from metarl_cli.functional.q_learning import double_q_value, q_lambda_return


def test_double_q_lets_one_network_choose_and_the_other_judge():
    values = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])
    target_values = torch.tensor([[9.0, 4.0, 8.0], [-1.0, 7.0, 7.0]])
    assert_close(double_q_value(values, target_values), torch.tensor([4.0, -1.0]))


def test_q_lambda_return_mixes_bootstrap_and_what_follows():
    reward, discount = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.5, 0.5, 0.0])
    next_value = torch.tensor([10.0, 20.0, 99.0])
    one_step = torch.tensor([1 + 5.0, 2 + 10.0, 4.0])
    to_the_end = torch.tensor([1 + 0.5 * 4, 2 + 0.5 * 4, 4.0])
    half = torch.tensor([1 + 0.5 * (5 + 4.0), 2 + 0.5 * (10 + 2.0), 4.0])
    assert_close(q_lambda_return(reward, discount, next_value, 0.0), one_step)
    assert_close(q_lambda_return(reward, discount, next_value, 1.0), to_the_end)
    assert_close(q_lambda_return(reward, discount, next_value, 0.5), half)


def test_information_gains_telescope_to_first_less_last_distance_less_costs():
    embedding = torch.tensor([[1.0, 2.0]])
    decoded = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[4.0, 2.0]], [[1.0, 2.0]]])
    distance = embedding_distance(decoded, embedding)
    assert distance[:, 0].tolist() == [5, 4, 9, 0]
    gain = information_gain(distance, 0.5)
    assert gain[:, 0].tolist() == [0.5, -5.5, 8.5]
    assert gain.sum() == 5 - 0 - 3 * 0.5
