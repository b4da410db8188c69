"""Checkpoints of earlier versions are read as if they were of the present one."""

import pytest
import torch
from helpers import Scripted, run_trials, tiny_sampler

from metarl_cli.buffers.transitions import TaskReplay
from metarl_cli.buffers.trials import TrialBuffer
from metarl_cli.core import tree
from metarl_cli.core.types import TimeStep
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.runtime.checkpoint_schema import to_present
from metarl_cli.runtime.manifest import SCHEMA

REST = dict.fromkeys(("sampler", "random", "progress", "record", "identity"))


def test_parts_of_schema_1_are_told_apart_into_learned_and_experience():
    state = to_present({"parts": {"model": {}, "buffer": {"num": 0}}, **REST}, 1)
    assert state["learned"] == {"model": {}} and state["experience"] == {"buffer": {"num": 0}}


def test_a_replay_of_schema_1_gives_back_every_ring():
    rows = torch.tensor([[1.0], [2.0], [5.0]])
    saved = {"capacity": 4, "counts": torch.tensor([2, 0, 1]), "next": torch.tensor([2, 0, 1])}
    state = to_present({"parts": {"replay": saved | {"rows": rows}}, **REST}, 1)
    replay = TaskReplay(3, 4, {"x": 1})
    replay.load_state_dict(state["experience"]["replay"])
    assert [ring.flatten().tolist() for ring in replay.state_dict()["rings"]] == [[1, 2], [], [5]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (  # RL2: one memory
            ("inputs.count", "inputs.vision.w", "memory.embed.w", "head.w", "returns.count"),
            (
                *("memory.inputs.count", "memory.inputs.vision.w", "memory.memory.embed.w"),
                *("head.w", "returns.count"),
            ),
        ),
        (  # an encoder of beliefs and a decoder
            ("0.inputs.count", "0.memory.cells.w", "0.head.w", "1.inputs_after.count", "1.out.w"),
            (
                *("0.memory.inputs.count", "0.memory.memory.cells.w"),
                *("0.head.w", "1.inputs_after.count", "1.out.w"),
            ),
        ),
        (  # DREAM: memories that already stand with their inputs
            ("explore.memory.inputs.count", "explore.memory.memory.w", "explore.trunk.w"),
            ("explore.memory.inputs.count", "explore.memory.memory.w", "explore.trunk.w"),
        ),
        (  # a policy without memory
            ("inputs.count", "actor.w", "critic.w"),
            ("inputs.count", "actor.w", "critic.w"),
        ),
    ],
    ids=["memory", "belief", "dream", "feed-forward"],
)
def test_memories_of_schema_1_move_in_with_their_inputs(
    old: tuple[str, ...], new: tuple[str, ...]
) -> None:
    part = {name: torch.tensor([number]) for number, name in enumerate(old)}
    state = to_present({"parts": {"model": part, "optimizer": {"state": {0: 1}}}, **REST}, 1)
    assert {name: x.item() for name, x in state["learned"]["model"].items()} == {
        name: number for number, name in enumerate(new)
    }
    assert state["learned"]["optimizer"] == {"state": {0: 1}}


def test_statistics_of_schema_1_get_their_variance() -> None:
    part = {"returns.mean": torch.tensor([3.0]), "returns.mean_square": torch.tensor([13.0])}
    part |= {"returns.count": torch.tensor([5.0])}
    state = to_present({"parts": {"model": part}, **REST}, 1)["learned"]["model"]
    module = torch.nn.ModuleDict({"returns": Normalizer(1)})
    module.load_state_dict(state)
    assert module["returns"](torch.tensor([[7.0]])).item() == 2  # (7 - 3) / sqrt(13 - 9)


def test_trials_of_schema_1_are_learned_from_as_those_that_follow() -> None:
    trials = run_trials(Scripted(), tiny_sampler(obs="grid"))
    trials.extras.clear()
    buffer = TrialBuffer(12, 4)
    buffer.add(trials)
    present = buffer.state_dict()
    stored = dict(present["stored"])
    old = stored.pop("step") | {k: stored[k] for k in ("action", "reward", "next_obs")}
    saved = present | {"stored": old}
    state = to_present({"parts": {"buffer": saved}, **REST}, 1)["experience"]["buffer"]
    restored = TrialBuffer(12, 4)
    restored.load_state_dict(state)
    for each in (buffer, restored):
        each.add(trials)
    ours, theirs = (tree.leaves(each.state_dict()) for each in (buffer, restored))
    assert len(ours) == len(theirs) == 2 + 12
    assert ours[:2] == theirs[:2] == [12, 0]
    assert all(a.equal(b) for a, b in zip(ours[2:], theirs[2:], strict=True))


def test_named_sequences_of_schema_1_stay_as_they_are() -> None:
    x = torch.arange(3.0).expand(2, 3)
    steps = TimeStep(x, x, x, x, x, x)
    buffer = TrialBuffer(4, 2)
    buffer.add({"explore": steps})
    saved = buffer.state_dict()
    state = to_present({"parts": {"buffer": dict(saved)}, **REST}, 1)["experience"]["buffer"]
    restored = TrialBuffer(4, 2)
    restored.load_state_dict(state)
    restored.add({"explore": steps})
    assert set(restored.sample(99)["explore"].obs[0].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("state", [5, {}, {"parts": 5, **REST}, {"learned": {}}])
def test_what_is_no_state_of_a_run_is_refused(state):
    for schema in range(1, SCHEMA + 1):
        with pytest.raises(ValueError, match=r"lacks|mapping"):
            to_present(state, schema)
