"""`metarl film`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.image import imread
from PIL import Image

from metarl_cli.cli import main
from metarl_cli.loggers import mp4

Call = Callable[..., int]
GRID = [
    "env=gridnavi",
    "env.horizon=4",
    "network.hidden=8",
    "budget.env_steps=24",
    "algo.ppo.epochs=1",
    "algo.ppo.num_minibatches=1",
    "meta_test.episodes=1",
    "algo.episodes=2",
]


def test_film_and_strip_of_a_trial_are_written(train: Call, capsys: pytest.CaptureFixture) -> None:
    assert train("algo=rl2", *GRID) == 0
    capsys.readouterr()
    assert main(["film", "checkpoint=outputs/train/run", "task=1", "output=out", "frames=3"]) == 0
    assert "rl2 on gridnavi, task 1 (trained on, too): goal_x" in capsys.readouterr().out
    assert imread("out/strip.png")[..., :3].std() > 0.05
    with Image.open("out/film.gif") as film:  # equal frames in turn are stored as one
        assert film.size[0] == 2 * 240 + 8  # two episodes side by side
        assert film.size[1] > 240  # and words
        assert sum(_durations(film)) == 6000  # ms


def _durations(film: Image.Image) -> list[int]:
    durations = []
    for i in range(film.n_frames):
        film.seek(i)
        durations.append(film.info["duration"])
    return durations


def test_settings_of_the_run_may_change_and_folders_name_the_run(run: Path) -> None:
    assert main(["film", "checkpoint=latest", "meta_test.episodes=0", "env.horizon=3"]) == 0
    (folder,) = Path("outputs/film").glob("*/*-run")
    assert {path.name for path in folder.iterdir()} == {"film.gif", "film.mp4", "strip.png"}


def test_without_an_encoder_there_is_a_gif_alone(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr(mp4, "find_spec", lambda name: None)
    assert main(["film", "checkpoint=latest", "output=out", "columns=1"]) == 0
    assert "film.gif and strip.png in out" in capsys.readouterr().out
    assert {path.name for path in Path("out").iterdir()} == {"film.gif", "strip.png"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["checkpoint=latest", "task=2"], "task: got 2, but the test tasks are 0 to 1"),
        (["checkpoint=latest", "task=-1"], "task"),
        (["checkpoint=latest", "frames=1"], "frames"),
        (["checkpoint=latest", "columns=0"], "columns"),
        (["checkpoint=nowhere"], "nowhere"),
        (["checkpoint=latest", "output=outputs/train/run/config.yaml"], "cannot write into"),
        (["checkpoint=latest", "tsk=1"], "unknown key tsk"),
    ],
)
def test_wrong_requests_are_one_line(
    run: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["film", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not Path("outputs/film").exists()
