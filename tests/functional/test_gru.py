import torch
from torch import nn
from torch.testing import assert_close

from metarl_cli.functional.gru import gru_sequence


def values_and_gradients(function, cells, x, weights):
    x = x.clone().requires_grad_()
    states = function(cells, x)
    of_parameters = torch.autograd.grad((states * weights).sum(), [x, *cells.parameters()])
    return states.detach(), *of_parameters


def test_states_and_all_gradients_are_those_of_torch():
    torch.manual_seed(0)
    cells = nn.GRU(3, 5).double()
    x, weights = torch.randn(7, 4, 3).double(), torch.randn(7, 4, 5).double()
    ours = values_and_gradients(gru_sequence, cells, x, weights)
    torchs = values_and_gradients(lambda cells, x: cells(x)[0], cells, x, weights)
    for mine, theirs in zip(ours, torchs, strict=True):
        assert_close(mine, theirs)


def test_without_gradients_the_states_are_the_same():
    cells, x = nn.GRU(3, 5).double(), torch.randn(7, 4, 3).double()
    with torch.no_grad():
        inferred = gru_sequence(cells, x)
    assert_close(inferred, gru_sequence(cells, x).detach())
