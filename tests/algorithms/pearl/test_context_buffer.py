import io

import torch

from metarl_cli.algorithms.pearl.context_buffer import ContextBuffer


def filled(*visits, kept=1, steps=4):
    """A buffer of two tasks after visits to task 1, each a list of the numbers seen there."""
    buffer = ContextBuffer(2, kept, steps, width=1)
    for numbers in visits:
        visit(buffer, *numbers)
    return buffer


def visit(buffer, *numbers):
    buffer.begin_visit(torch.tensor([1]))
    for number in numbers:
        buffer.add(torch.tensor([1]), torch.tensor([[float(number)]]))


def seen(buffer):
    torch.manual_seed(0)
    return set(buffer.sample(torch.tensor([1]), 200).flatten().tolist())


def test_contexts_are_of_the_latest_visit_also_where_visits_are_short():
    assert seen(filled([1, 2, 3, 4], [5, 6])) == {5, 6}
    assert seen(filled([1], [2], [3])) == {3}


def test_as_many_visits_are_kept_as_wanted():
    assert seen(filled([1, 2], [3], [4], kept=2)) == {3, 4}
    assert seen(filled([1, 2, 3], [4, 5, 6], [7, 8, 9], [10], kept=3)) == {4, 5, 6, 7, 8, 9, 10}


def test_a_visit_that_begins_leaves_other_tasks_alone():
    buffer = ContextBuffer(2, 1, 4, width=1)
    buffer.begin_visit(torch.tensor([0]))
    buffer.add(torch.tensor([0, 0]), torch.tensor([[7.0], [8.0]]))
    visit(buffer, 1)
    assert buffer.counts.tolist() == [2, 1]


def test_a_visit_that_is_given_up_brings_back_the_one_before():
    buffer = filled([1, 2, 3], [4, 5])
    buffer.mark()
    visit(buffer, 9)
    buffer.rollback()
    assert seen(buffer) == {4, 5}
    visit(buffer, 6)
    assert seen(buffer) == {6}


def test_a_saved_buffer_goes_on_like_the_original():
    original, restored = filled([1, 2], [3], kept=2), ContextBuffer(2, 2, 4, width=1)
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    for buffer in (original, restored):
        visit(buffer, 4, 5)
    assert seen(original) == seen(restored) == {3, 4, 5}
