"""Checkpoints of earlier versions are read as if they were of the present one."""

import pytest
import torch

from metarl_cli.buffers.transitions import TaskReplay
from metarl_cli.runtime.checkpoint_schema import SCHEMA, to_present

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


@pytest.mark.parametrize("state", [5, {}, {"parts": 5, **REST}, {"learned": {}}])
def test_what_is_no_state_of_a_run_is_refused(state):
    for schema in range(1, SCHEMA + 1):
        with pytest.raises(ValueError, match=r"lacks|mapping"):
            to_present(state, schema)
