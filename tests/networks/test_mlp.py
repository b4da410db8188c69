import pytest
import torch
from torch.testing import assert_close

from metarl_cli.networks.mlp import MLP, Linear, initialised_linear
from metarl_cli.networks.stacked import stack_copies


def test_stacked_linear_equals_a_loop_over_shared_ones():
    torch.manual_seed(0)
    layers = [Linear(3, 2) for _ in range(4)]
    stacked, x = Linear(3, 2), torch.randn(4, 5, 3)
    parameters = {
        "weight": torch.stack([layer.weight for layer in layers]),
        "bias": torch.stack([layer.bias for layer in layers]),
    }
    out = torch.func.functional_call(stacked, parameters, (x,))
    for row, layer in enumerate(layers):
        assert_close(out[row], layer(x[row]))


def test_shared_linear_takes_any_leading_dimensions():
    layer = Linear(3, 2)
    assert layer(torch.zeros(3)).shape == (2,) and layer(torch.zeros(4, 5, 3)).shape == (4, 5, 2)


def test_initial_bias_is_zero_and_weights_are_bounded_by_xavier():
    layer = initialised_linear(4, 2)
    assert layer.bias.tolist() == [0, 0]
    assert layer.weight.abs().max() <= 1  # sqrt(6 / (4 + 2))


def test_mlp_by_hand():
    net = MLP([1], "relu", in_dim=2)
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor([[1.0, -2.0]]))
    assert net(torch.tensor([[5.0, 1.0], [1.0, 5.0]])).tolist() == [[3], [0]]


def test_output_size_is_that_of_the_last_layer():
    net = MLP([5, 7], "tanh", in_dim=3)
    assert net.out_dim == 7 and net(torch.zeros(2, 3)).shape == (2, 7)


@pytest.mark.parametrize(
    ("hidden", "activation", "word"),
    [([], "tanh", "hidden"), ([3, 0], "tanh", "hidden"), ([3], "sigmoid", "activation")],
)
def test_bad_sizes_and_activations_are_named(hidden, activation, word):
    with pytest.raises(ValueError, match=word):
        MLP(hidden, activation, in_dim=2)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("stacked", [False, True])
def test_aligned_products_of_many_rows_are_those_of_few(activation, stacked):
    torch.manual_seed(0)
    net = MLP([130, 8, 131], activation, in_dim=3)
    x = torch.randn(1024, 3)
    if stacked:
        net, x = stack_copies(net, 2), x.expand(2, -1, -1)
    shapes = [tuple(value.shape[-2:]) for value in net.state_dict().values()]
    assert shapes[::2] == [(130, 3), (8, 130), (131, 8)]

    def outputs_and_gradients(*pieces):
        net.zero_grad()
        out = torch.cat([net(piece) for piece in pieces], -2)
        out.square().mean().backward()
        return [out, *(p.grad for p in net.parameters())]

    together, apart = outputs_and_gradients(x), outputs_and_gradients(*x.split(256, -2))
    assert together[0].shape[-1] == 131
    for one, other in zip(together, apart, strict=True):
        assert_close(one, other)


def test_second_derivatives_pass_through_activations_in_place():
    net = MLP([2, 2], "tanh", in_dim=2).double()
    assert torch.autograd.gradgradcheck(net, torch.tensor([[0.3, -0.7]]).double().requires_grad_())
