import io
import os
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from metarl_cli.buffers.transitions import TaskReplay


def transitions(*numbers):
    """Transitions that hold their number, and a pair of its multiples."""
    number = torch.tensor(numbers, dtype=torch.float32).unsqueeze(-1)
    return {"x": number, "pair": torch.cat([2 * number, 3 * number], -1)}


def replay(*batches, num_tasks=3, capacity=4):
    """A replay to which batches of (task, number) pairs were added."""
    buffer = TaskReplay(num_tasks, capacity, {"x": 1, "pair": 2})
    for batch in batches:
        tasks, numbers = zip(*batch, strict=True)
        buffer.add(torch.tensor(tasks), transitions(*numbers))
    return buffer


def ring(buffer, task):
    """The numbers stored of a task, in the order of its ring."""
    return buffer.state_dict()["rings"][task][:, 0].tolist()


def test_each_task_has_a_ring_of_its_own_in_the_order_of_arrival():
    buffer = replay([(0, 1), (2, 5), (0, 2)], [(2, 6)])
    assert [ring(buffer, task) for task in range(3)] == [[1, 2], [], [5, 6]]


def test_the_oldest_transitions_of_the_task_make_room():
    buffer = replay([(0, 1), (0, 2), (0, 3), (1, 7)], [(0, 4), (0, 5), (1, 8)])
    assert ring(buffer, 0) == [5, 2, 3, 4] and ring(buffer, 1) == [7, 8]


def test_of_more_transitions_than_fit_the_last_are_kept():
    buffer = replay([(1, number) for number in range(10)])
    assert sorted(ring(buffer, 1)) == [6, 7, 8, 9]
    buffer.add(torch.tensor([1]), transitions(10))
    assert sorted(ring(buffer, 1)) == [7, 8, 9, 10]


def test_samples_are_of_the_tasks_asked_for_and_their_parts_belong_together():
    buffer = replay([(0, 1), (0, 2), (2, 5)])
    sample = buffer.sample(torch.tensor([2, 0]), 50)
    assert sample["x"].shape == (2, 50, 1) and sample["pair"].shape == (2, 50, 2)
    assert set(sample["x"][0].flatten().tolist()) == {5}
    assert set(sample["x"][1].flatten().tolist()) == {1, 2}
    assert_close(sample["pair"], torch.cat([2 * sample["x"], 3 * sample["x"]], -1))


def test_saved_and_loaded_replay_goes_on_bit_for_bit():
    buffer = replay([(0, 1), (0, 2), (2, 5)], [(0, number) for number in range(3, 6)])
    file = io.BytesIO()
    torch.save(buffer.state_dict(), file)
    file.seek(0)
    loaded = TaskReplay(3, 4, {"x": 1, "pair": 2})
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for each in (buffer, loaded):
        each.add(torch.tensor([2, 0]), transitions(8, 9))
    assert [ring(buffer, task) for task in range(3)] == [ring(loaded, task) for task in range(3)]
    samples = []
    for each in (buffer, loaded):
        torch.manual_seed(0)
        samples.append(each.sample(torch.tensor([0, 2]), 20)["pair"])
    assert samples[0].equal(samples[1])


def test_a_rollback_puts_back_what_was_written_over_since_the_mark():
    buffer = replay([(0, 1), (0, 2), (0, 3), (2, 5)])
    buffer.mark()
    buffer.add(torch.tensor([0, 0, 1]), transitions(6, 7, 8))
    buffer.add(torch.tensor([0]), transitions(9))
    buffer.rollback()
    assert [ring(buffer, task) for task in range(3)] == [[1, 2, 3], [], [5]]
    buffer.add(torch.tensor([0, 0]), transitions(4, 10))
    assert ring(buffer, 0) == [10, 2, 3, 4]


def test_a_saved_state_takes_no_memory_of_its_own_and_only_what_is_filled():
    rings = replay([(0, 1), (0, 2)], capacity=1000).state_dict()["rings"]
    assert [ring.untyped_storage().nbytes() for ring in rings] == [2 * 3 * 4, 0, 0]


def test_replay_saved_with_another_capacity_is_refused():
    state = replay([(0, 1)], capacity=4).state_dict()
    with pytest.raises(ValueError, match="capacity of the replay: got 8"):
        TaskReplay(3, 8, {"x": 1, "pair": 2}).load_state_dict(state)


def test_replay_without_experience_loads_as_empty():
    buffer = TaskReplay(3, 4, {"x": 1, "pair": 2})
    buffer.load_state_dict({})
    buffer.load_state_dict(replay().state_dict())
    assert buffer.counts.sum() == 0
    buffer.add(torch.tensor([1]), transitions(3))
    assert ring(buffer, 1) == [3]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_rings_of_a_million_take_the_memory_of_what_they_hold():
    small, large = replay(capacity=10), replay(num_tasks=20, capacity=1_000_000)
    before = resident()
    for buffer in (small, large):
        buffer.add(torch.arange(3), transitions(0, 1, 2))
        assert buffer.sample(torch.arange(3), 8)["x"].shape == (3, 8, 1)
        assert buffer.nbytes == 3 * 3 * 4
    assert resident() - before < 20e6  # of 240 MB


def resident():
    """Bytes of main memory that this process takes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
