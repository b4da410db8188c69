import pytest
import torch
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.networks.memory import GRU, LSTM
from metarl_cli.networks.transformer import Transformer

T, B, F = 9, 4, 3
MEMORIES = {
    "gru": lambda: GRU(embedding=5, hidden=8, in_dim=F),
    "lstm": lambda: LSTM(embedding=5, hidden=8, in_dim=F),
    "transformer": lambda: Transformer(width=8, heads=2, layers=2, context=4, in_dim=F),
}
every_memory = pytest.mark.parametrize("name", MEMORIES)


def built(name):
    torch.manual_seed(0)
    return MEMORIES[name]().double(), torch.randn(T, B, F, dtype=torch.float64)


def with_gaps():
    active = torch.ones(T, B)
    active[3:5, 1] = 0
    active[0, 2] = active[8, 2] = 0
    return active


def by_steps(memory, x, active):
    state, features = memory.initial_state(B), []
    for inputs, mask in zip(x, active, strict=True):
        out, state = memory.step(inputs, state, mask)
        features.append(out)
    return torch.stack(features)


@every_memory
@pytest.mark.parametrize("active", [torch.ones(T, B), with_gaps()], ids=["whole", "gaps"])
def test_step_form_and_sequence_form_give_the_same_numbers(name, active):
    memory, x = built(name)
    mask = active.bool()
    assert_close(by_steps(memory, x, active)[mask], memory.sequence(x, active)[mask])


@every_memory
def test_what_happens_while_inactive_is_never_remembered(name):
    memory, x = built(name)
    active = with_gaps()
    changed = torch.where(active[..., None] > 0, x, 100.0)
    mask = active.bool()
    assert_close(memory.sequence(changed, active)[mask], memory.sequence(x, active)[mask])


@every_memory
def test_features_depend_on_the_past_and_not_on_the_future(name):
    memory, x = built(name)
    active = torch.ones(T, B)
    before = memory.sequence(x, active)
    x[5] += 1
    after = memory.sequence(x, active)
    assert_close(after[:5], before[:5])
    assert ((after[5:8] - before[5:8]).abs().amax((1, 2)) > 1e-6).all()


def test_transformer_makes_room_for_steps_when_they_come():
    torch.manual_seed(0)
    memory = Transformer(width=8, heads=2, layers=2, context=40, in_dim=F).double()
    x, active = torch.randn(50, B, F, dtype=torch.float64), torch.ones(50, B)
    active[5:20, 1] = 0
    state, features, rooms = memory.initial_state(B), [], []
    for inputs, mask in zip(x, active, strict=True):
        out, state = memory.step(inputs, state, mask)
        features.append(out)
        rooms.append(state["keys"].shape[2])
    seen = active.bool()
    assert_close(torch.stack(features)[seen], memory.sequence(x, active)[seen])
    assert rooms == [16] * 16 + [32] * 16 + [40] * 18


def test_transformer_forgets_what_lies_beyond_its_context():
    memory = Transformer(width=8, heads=2, layers=1, context=4, in_dim=F).double()
    x, active = torch.randn(T, B, F, dtype=torch.float64), torch.ones(T, B)
    before = memory.sequence(x, active)
    x[0] += 1
    changed = (memory.sequence(x, active) - before).abs().amax((1, 2)) > 1e-9
    assert changed.tolist() == [True] * 4 + [False] * 5


@every_memory
def test_a_step_leaves_the_memory_it_was_given_alone(name):
    memory, x = built(name)
    state = memory.step(x[0], memory.initial_state(B), torch.ones(B))[1]
    copy = tree.clone(state)
    memory.step(x[1], state, torch.tensor([1.0, 0.0, 1.0, 1.0]))
    tree.tree_map(assert_close, state, copy)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="width: got 7, expected a multiple of heads = 2"):
        Transformer(width=7, heads=2, layers=1, context=4, in_dim=1)
    with pytest.raises(ValueError, match="context: got 0"):
        Transformer(width=8, heads=2, layers=1, context=0, in_dim=1)
