"""Adam that starts at once takes the steps of torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metarl_cli.learners.gradient_step import Adam


def moved(kind: type[torch.optim.Adam], *, fused: bool) -> tuple[nn.Module, torch.optim.Adam]:
    """Take three steps, with a state loaded before the last of them."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    adam = kind(model.parameters(), lr=0.1, fused=fused)
    for step in range(3):
        if step == 2:
            state = adam.state_dict()
            adam = kind(model.parameters(), lr=0.5, fused=fused)
            adam.load_state_dict(state)
        adam.zero_grad(set_to_none=True)
        model(torch.ones(4, 3) * step).square().sum().backward()
        adam.step()
    return model, adam


@pytest.mark.parametrize("fused", [False, True])
def test_steps_and_state_are_those_of_torch_bit_for_bit(fused: bool) -> None:
    (ours, adam), (theirs, reference) = (
        moved(kind, fused=fused) for kind in (Adam, torch.optim.Adam)
    )
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other) and mine.requires_grad
    assert adam.param_groups[0]["lr"] == reference.param_groups[0]["lr"] == 0.1
    torch.testing.assert_close(adam.state_dict(), reference.state_dict(), rtol=0, atol=0)
