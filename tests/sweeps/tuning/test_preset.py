"""Presets that mean what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import UserError
from metarl_cli.sweeps.tuning.preset import preset_text

BASE = "experiment=maml/point_nav"


@pytest.mark.parametrize(
    "words",
    [
        [BASE, "algo.inner.step_size=0.30000000000000004"],
        [BASE, "budget=smoke", "budget.env_steps=77"],  # the preset's own budget gives way
        ["env=nav2d", "algo=rl2", "network=lstm", "algo.ppo.epochs=3", "env.horizon=7"],
        [BASE, "network.hidden=24", "experiment=rl2/gridnavi", "network=gru"],  # the last counts
    ],
)
def test_preset_trains_what_was_typed(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "best.yaml"
    file.parent.mkdir()
    file.write_text(preset_text([*words, "logger=[jsonl]", "threads=1"], ["found"]))
    assert file.read_text().startswith("# @package _global_\n# found\n")
    preset = compose("train", [f"hydra.searchpath=[file://{tmp_path}]", "experiment=best"])
    check(preset)
    assert preset == compose("train", words)  # logger and threads are not the method's


def test_presets_of_the_users_own_can_be_built_upon(tmp_path: Path) -> None:
    mine = tmp_path / "experiment" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("# @package _global_\nenv:\n  horizon: 11\n")
    words = [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine", "algo.num_tasks=3"]
    text = preset_text(words, [])
    assert "/experiment/mine" in text and "num_tasks: 3" in text


@pytest.mark.parametrize("word", ["~algo.trpo", "env@other=nav2d"])
def test_what_no_preset_can_say_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="no preset can say"):
        preset_text([BASE, word], [])
