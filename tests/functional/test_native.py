"""Loops in C: the same numbers as torch, at any number of rows and threads, or none at all."""

import stat
from pathlib import Path

import pytest
import torch
from torch import nn

from metarl_cli.functional.gru import gru_sequence
from metarl_cli.functional.gru_native import SOURCE, gru_library
from metarl_cli.functional.native import cache_folder, compile_and_load, kernels, use_native

T, F, H = 30, 3, 64
needs_a_compiler = pytest.mark.skipif(gru_library() is None, reason="no C compiler here")


@pytest.fixture(autouse=True)
def as_before():
    threads = torch.get_num_threads()
    yield
    use_native(True)
    torch.set_num_threads(threads)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "metarl" / "native"


def built(rows):
    torch.manual_seed(0)
    return nn.GRU(F, H), torch.randn(T, rows, F), torch.randn(T, rows, H)


def states_and_gradients(function, cells, x, weights):
    x = x.clone().requires_grad_()
    states = function(cells, x)
    gradients = torch.autograd.grad((states * weights).sum(), [x, *cells.parameters()])
    return [states.detach(), *gradients]


def distance(mine, exact):
    return float((mine - exact).abs().max() / exact.abs().max())


@needs_a_compiler
@pytest.mark.parametrize("rows", [1, 7, 16])
def test_states_and_all_gradients_agree_with_double_precision_to_1e_6(rows):
    cells, x, weights = built(rows)
    mine = states_and_gradients(gru_sequence, cells, x, weights)
    assert kernels().startswith("native")
    exact = states_and_gradients(
        lambda cells, x: cells(x)[0], cells.double(), x.double(), weights.double()
    )
    assert max(map(distance, mine, exact)) < 1e-6


@needs_a_compiler
def test_without_gradients_the_states_are_the_same_bits():
    cells, x, _ = built(5)
    with torch.no_grad():
        inferred = gru_sequence(cells, x)
    assert torch.equal(inferred, gru_sequence(cells, x).detach())


@needs_a_compiler
def test_neither_threads_nor_the_rows_beside_show_in_the_states_and_in_their_gradient():
    cells, x, weights = built(13)
    torch.set_num_threads(1)
    together = states_and_gradients(gru_sequence, cells, x, weights)
    alone = states_and_gradients(gru_sequence, cells, x[:, 4:5], weights[:, 4:5])
    assert torch.equal(together[0][:, 4:5], alone[0])
    torch.set_num_threads(3)
    in_threads = states_and_gradients(gru_sequence, cells, x, weights)
    assert torch.equal(together[0], in_threads[0])
    assert distance(in_threads[1], together[1]) < 1e-6  # a product of torch's own comes after


def test_extreme_inputs_give_what_torch_gives():
    cells, x, _ = built(4)
    x = x * torch.tensor([1e-6, 1.0, 1e3, 1e9]).view(1, 4, 1)
    with torch.no_grad():
        assert distance(gru_sequence(cells, x), cells(x)[0]) < 1e-6
        x[3, 1] = torch.nan
        assert gru_sequence(cells, x)[3:, 1].isnan().all()


def test_whoever_turns_the_loops_off_gets_those_of_torch():
    use_native(False)
    assert gru_library() is None and kernels() == "torch"
    cells, x, weights = built(3)
    mine = states_and_gradients(gru_sequence, cells, x, weights)
    torchs = states_and_gradients(lambda cells, x: cells(x)[0], cells, x, weights)
    assert max(map(distance, mine, torchs)) < 1e-5


@needs_a_compiler
def test_what_is_compiled_stands_in_a_folder_of_the_user_alone(own_cache):
    assert compile_and_load(SOURCE) is not None
    assert cache_folder() == own_cache
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
    (library,) = own_cache.iterdir()
    first = library.stat().st_mtime_ns
    assert compile_and_load(SOURCE) is not None and library.stat().st_mtime_ns == first


def test_a_folder_in_which_others_could_write_is_not_used(own_cache):
    cache_folder().chmod(0o777)
    assert compile_and_load(SOURCE) is None
    assert not list(own_cache.iterdir())


def test_a_link_in_its_place_is_not_followed(own_cache, tmp_path):
    own_cache.parent.mkdir(mode=0o700)
    own_cache.symlink_to(tmp_path)
    assert compile_and_load(SOURCE) is None


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler_nothing_is_said_and_nothing_is_left(compiler, own_cache, monkeypatch):
    monkeypatch.setenv("CC", compiler)
    assert compile_and_load(SOURCE) is None
    assert not list(own_cache.iterdir())
