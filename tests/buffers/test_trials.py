import io
from dataclasses import replace

import pytest
import torch
from helpers import Scripted, tiny_sampler

from metarl_cli.buffers.trials import TrialBuffer
from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import Trajectory


def trials(*names, steps=2):
    """Trials that hold their own number in every step, and twice that in a dict."""
    number = torch.tensor(names, dtype=torch.float32).expand(steps, len(names))
    return {"x": number.clone(), "obs": {"a": 2 * number}, "active": torch.ones(steps, len(names))}


def filled(*batches, capacity=4, length=2):
    buffer = TrialBuffer(capacity, length)
    for batch in batches:
        buffer.add(trials(*batch))
    return buffer


def as_saved(buffer):
    """The state of a buffer as it comes back from a checkpoint file."""
    file = io.BytesIO()
    torch.save(buffer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def stored(buffer):
    """The number of each stored trial, in the order of the ring."""
    state = buffer.state_dict()["stored"]
    return state["x"][:, 0].tolist() if state else []


def test_trials_are_kept_in_the_order_in_which_they_came():
    buffer = filled([1, 2], [3])
    assert stored(buffer) == [1, 2, 3] and buffer.num == 3


def test_the_oldest_trials_make_room():
    assert stored(filled([1, 2, 3], [4, 5])) == [5, 2, 3, 4]
    assert stored(filled([1, 2, 3], [4, 5], [6])) == [5, 6, 3, 4]


def test_of_more_trials_than_fit_the_last_are_kept():
    buffer = filled([9], [1, 2, 3, 4, 5, 6])
    assert sorted(stored(buffer)) == [3, 4, 5, 6] and buffer.num == 4
    buffer.add(trials(7))
    assert sorted(stored(buffer)) == [4, 5, 6, 7]


def test_shorter_trials_are_filled_up_with_inactive_zeros_over_what_was_there():
    buffer = TrialBuffer(capacity=1, length=3)
    buffer.add(trials(8, steps=3))
    buffer.add(trials(5, steps=1))
    sample = buffer.sample(1)
    assert sample["x"][:, 0].tolist() == [5, 0, 0]
    assert sample["obs"]["a"][:, 0].tolist() == [10, 0, 0]
    assert sample["active"][:, 0].tolist() == [1, 0, 0]


def test_samples_are_whole_trials_drawn_with_replacement_by_torchs_generator():
    buffer = filled([1, 2, 3])
    torch.manual_seed(0)
    first, second = buffer.sample(50), buffer.sample(50)
    torch.manual_seed(0)
    assert buffer.sample(50)["x"].equal(first["x"]) and not first["x"].equal(second["x"])
    assert first["x"].shape == (2, 50) and first["x"][0].equal(first["x"][1])
    assert first["obs"]["a"].equal(2 * first["x"])
    assert set(first["x"][0].tolist()) == {1, 2, 3}  # never a row that is still empty


def test_a_sample_is_a_copy():
    buffer, batch = TrialBuffer(1, 2), trials(1)
    buffer.add(batch)
    batch["x"] += 1
    buffer.sample(1)["x"] += 1
    assert buffer.sample(1)["x"].eq(1).all()


@pytest.mark.parametrize("batches", [[], [[1, 2]], [[1, 2, 3], [4, 5]]], ids=len)
def test_a_saved_buffer_goes_on_like_the_original(batches):
    original, restored = filled(*batches), TrialBuffer(4, 2)
    restored.load_state_dict(as_saved(original))
    for buffer in (original, restored):
        buffer.add(trials(6, 7, 8))
    assert stored(restored) == stored(original) and restored.num == original.num


@pytest.mark.parametrize("batches", [[], [[1, 2]], [[1, 2, 3], [4, 5]]], ids=len)
def test_a_rollback_puts_back_what_was_written_over_since_the_mark(batches):
    buffer = filled(*batches)
    buffer.mark()
    before = stored(buffer)
    buffer.add(trials(6, 7, 8))
    buffer.add(trials(9, 10))
    buffer.rollback()
    assert stored(buffer) == before
    buffer.add(trials(6, 7, 8))
    assert stored(buffer) == stored(filled(*batches, [6, 7, 8]))


def test_a_saved_state_takes_no_memory_of_its_own_and_only_what_is_filled():
    buffer = filled([1])
    state = buffer.state_dict()["stored"]["x"]
    assert state.tolist() == [[1, 1]] and state.untyped_storage().nbytes() == 8
    buffer.add(trials(2, 3, 4, 5))
    assert state.tolist() == [[5, 5]]


@pytest.mark.parametrize("batches", [[], [[1, 2]], [[1, 2, 3], [4, 5]]], ids=len)
def test_a_loaded_buffer_says_the_same_before_anything_is_added(batches):
    restored = TrialBuffer(4, 2)
    restored.load_state_dict(as_saved(filled(*batches)))
    assert stored(restored) == stored(filled(*batches))
    restored.load_state_dict(as_saved(restored))
    restored.add(trials(6))
    assert stored(restored) == stored(filled(*batches, [6]))


def test_what_a_loaded_buffer_writes_over_can_be_taken_back():
    restored = TrialBuffer(4, 2)
    restored.load_state_dict(as_saved(filled([1, 2, 3, 4])))
    restored.add(trials(6, 7))
    restored.rollback()
    assert stored(restored) == [1, 2, 3, 4]


def recorded():
    """Six trials of one episode, without the extras of who acted."""
    sampler, agent = tiny_sampler(obs="grid"), Scripted()
    trial, _ = sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()))
    return replace(trial, extras={})


def test_trajectories_come_back_as_the_agent_saw_them():
    trial, buffer = recorded(), TrialBuffer(1, 4)
    buffer.add(trial)
    sample = buffer.sample(2)
    assert isinstance(sample, Trajectory)
    for ours, theirs in zip(tree.leaves(sample), tree.leaves(trial), strict=True):
        assert ours.equal(theirs[:, -1:].expand_as(ours))
    assert sample.step.obs["cell"].shape == (4, 2, 2)


def test_trajectories_are_saved_as_plain_data_and_are_trajectories_again_with_the_next_one():
    trial, buffer, restored = recorded(), TrialBuffer(8, 4), TrialBuffer(8, 4)
    buffer.add(trial)
    saved = as_saved(buffer)
    assert type(saved["stored"]) is type(saved["stored"]["step"]) is dict
    restored.load_state_dict(saved)
    for each in (buffer, restored):
        each.add(trial)
        torch.manual_seed(0)
        sample = each.sample(20)
        assert isinstance(sample, Trajectory)
        assert sample.step.obs["cell"].shape == (4, 20, 2)
    ours, theirs = (tree.leaves(each.state_dict()["stored"]) for each in (buffer, restored))
    assert len(ours) == len(theirs)
    assert all(a.equal(b) for a, b in zip(ours, theirs, strict=True))


def test_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="capacity: got 0"):
        TrialBuffer(0, 5)


def test_a_buffer_that_would_not_fit_is_one_clear_line():
    record = {"obs": torch.zeros(2, 1, 60, 80, 3, dtype=torch.uint8)}
    with pytest.raises(UserError, match=r"buffer_trials: 2000 trials .* take 5\.8 GB"):
        TrialBuffer(2000, 200).add(record)
