"""Which of our algorithms refuse which observations and actions, and how they say it."""

from __future__ import annotations

import pytest

from metarl_cli.config.compose import options_of
from metarl_cli.testing.test_algorithms import SPACES, refusal

IMAGES = ("image", "dict")
GRADIENT = ("maml", "fomaml", "emaml", "cavia", "maesn", "llama", "promp", "reptile")
WITHOUT_EYES = (*GRADIENT, "scratch_ppo", "pearl")  # no convnet in their networks
ONLY = {"dream": "discrete", "pearl": "continuous"}  # the only kind of actions that they take


@pytest.mark.parametrize("name", options_of("algo"))
@pytest.mark.parametrize(("obs", "action"), SPACES)
def test_algorithm_refuses_just_what_it_cannot_do(name: str, obs: str, action: str) -> None:
    line = refusal(name, obs, action)
    blind = name in WITHOUT_EYES and obs in IMAGES
    wrong_action = action != ONLY.get(name, action)
    assert (line is not None) == (blind or wrong_action)
    if line is not None:
        assert "\n" not in line
        assert (blind and "observation" in line) or f"needs {ONLY[name]} actions" in line
