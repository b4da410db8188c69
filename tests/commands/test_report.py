"""Several meta-tests in one picture, and refusals of what cannot be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.image import imread

from metarl_cli.cli import main

Call = Callable[..., int]
SCRATCH = Path("outputs/train/scratch")


@pytest.fixture
def scratch(train: Call) -> Path:
    """A finished retraining run on the tasks of `run`."""
    assert train("algo=scratch_ppo", "meta_test.episodes=4", f"hydra.run.dir={SCRATCH}") == 0
    return SCRATCH


def test_runs_of_two_algorithms_are_drawn_in_one_panel(
    run: Path, scratch: Path, here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["report", f"runs=[{run},{scratch}]", "to=pictures"]) == 0
    picture = imread(here / "pictures/adaptation.png")
    assert picture.shape[:2] == (484, 550)
    assert picture[..., :3].std() > 0.05
    assert "pictures/adaptation.png" in capsys.readouterr().out


def test_file_of_a_longer_meta_test_stands_beside_the_run(run: Path, here: Path) -> None:
    long = "long/eval.json"
    assert main(["eval", f"checkpoint={run}", "meta_test.episodes=5", f"output={long}"]) == 0
    assert main(["report", f"runs=[{run},{long}]"]) == 0
    assert (here / "outputs/report/adaptation.png").is_file()


def refusal(capsys: pytest.CaptureFixture, runs: str) -> str:
    """The line with which a report is refused."""
    capsys.readouterr()
    assert main(["report", f"runs=[{runs}]"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not Path("outputs/report").exists()
    return said


def test_other_settings_of_the_environment_cannot_share_a_panel(
    run: Path, train: Call, capsys: pytest.CaptureFixture
) -> None:
    assert train("algo=scratch_ppo", "env.horizon=5", f"hydra.run.dir={SCRATCH}") == 0
    assert "env.horizon is 10 and 5" in refusal(capsys, f"{run},{SCRATCH}")


def test_other_test_tasks_cannot_share_a_panel(run: Path, capsys: pytest.CaptureFixture) -> None:
    other = ["env.tasks.test_seed=77", "output=other.json"]
    assert main(["eval", f"checkpoint={run}", *other]) == 0
    assert "test tasks of point_nav differ" in refusal(capsys, f"{run},other.json")


@pytest.mark.parametrize(("runs", "line"), [("", "names no run"), ("nowhere", "nowhere")])
def test_no_run_at_all_is_refused(
    here: Path, capsys: pytest.CaptureFixture, runs: str, line: str
) -> None:
    assert line in refusal(capsys, runs)
