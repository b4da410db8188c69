"""`metarl eval draw_beliefs=N`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.image import imread

from metarl_cli.cli import main

Call = Callable[..., int]
GRID = [
    "env=gridnavi",
    "env.horizon=4",
    "env.tasks.num_test=2",
    "network.hidden=8",
    "meta_test.episodes=1",
    "budget.env_steps=48",
    "hydra.run.dir=outputs/train/grid",
]


def test_pictures_and_numbers_of_beliefs_are_written(train: Call) -> None:
    quick = ["algo.ppo.epochs=1", "algo.ppo.num_minibatches=1", "algo.episodes=2"]
    assert train("algo=task_inference", *GRID, *quick) == 0
    arguments = ["eval", "checkpoint=outputs/train/grid", "output=out/eval.json"]
    assert main([*arguments, "draw_beliefs=1"]) == 0
    measured = json.loads(Path("out/eval.json").read_text())
    assert 0 < measured["belief_error"] < 1 and 0 < measured["belief_kl"] < 10
    assert [picture.name for picture in Path("out/beliefs").iterdir()] == ["task_0.png"]
    assert imread("out/beliefs/task_0.png")[..., :3].std() > 0.05


def test_beliefs_about_goals_on_a_semicircle_are_drawn_if_rewards_are_sparse(
    train: Call, capsys: pytest.CaptureFixture
) -> None:
    semicircle = [setting.replace("gridnavi", "point_semicircle") for setting in GRID]
    quick = ["algo.elbo.learner.updates=1", "algo.episodes=2"]
    assert train("algo=varibad", *semicircle, *quick) == 0
    arguments = ["eval", "checkpoint=outputs/train/grid", "output=out/eval.json", "draw_beliefs=1"]
    assert main(arguments) == 0
    measured = json.loads(Path("out/eval.json").read_text())
    assert 0 < measured["belief_error"] < 1 and "belief_kl" not in measured
    assert imread("out/beliefs/task_0.png")[..., :3].std() > 0.05
    capsys.readouterr()
    assert main([*arguments, "env.dense=true"]) == 2
    assert "env.dense=false" in capsys.readouterr().err


def test_beliefs_are_refused_where_they_cannot_be_drawn(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    for num, said in (
        (1, "only where the place of a goal is hidden"),
        (3, "there are only 2 test tasks"),
    ):
        assert main(["eval", "checkpoint=latest", f"draw_beliefs={num}"]) == 2
        assert said in capsys.readouterr().err
    assert main(["eval", "checkpoint=latest", "draw_beliefs=-1"]) == 2
    assert "draw_beliefs" in capsys.readouterr().err
    assert not Path("outputs/eval").exists()
