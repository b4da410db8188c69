"""curves.png: at the end of a run, on request while it goes on, and by `metarl curves`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.image import imread

from metarl_cli.cli import main
from metarl_cli.commands.parts import outcome
from metarl_cli.commands.parts.run_curves import setting_of_tasks
from metarl_cli.runtime.run_record import RunRecord

Call = Callable[..., int]
RUN = Path("outputs/train/run")
REFERENCE = Path(__file__).resolve().parents[2] / "outputs/reference"


def test_every_run_ends_with_its_curves(train: Call) -> None:
    assert train("budget.env_steps=1", "curves=true") == 0
    assert imread(RUN / "curves.png")[..., :3].std() > 0.05


def test_a_run_does_not_fail_because_of_its_picture(
    train: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(record: object) -> None:
        raise RuntimeError("no font\nat all")

    monkeypatch.setattr(outcome, "draw_curves", fail)
    assert train("budget.env_steps=1", "logger=[console]", "curves=true") == 0
    assert "no curves: no font at all" in capsys.readouterr().err
    assert json.loads((RUN / "meta.json").read_text())["status"] == "finished"


def test_what_draws_is_not_imported_by_training_before_its_end() -> None:
    code = "import metarl_cli.commands.train, sys; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_signal_draws_the_curves_of_a_run_that_goes_on(
    start: Callable[..., subprocess.Popen], tiny: list[str]
) -> None:
    folder = Path("a run, [1]")
    long = ["budget.env_steps=100000000", f'hydra.run.dir="{folder}"']
    process = start("train", *tiny[:-1], *long)
    try:
        wait_for(lambda: (folder / "metrics.jsonl").is_file() and (folder / "checkpoints").is_dir())
        pid = json.loads((folder / "meta.json").read_text())["pid"]
        assert pid == process.pid
        process.send_signal(signal.SIGURG)
        wait_for((folder / "curves.png").is_file)
        assert process.poll() is None
    finally:
        process.terminate()
    assert process.wait(60) == 75


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_curves_are_drawn_in_the_folder_of_each_run(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(run, "outputs/train/other")
    for folder in Path("outputs/train").iterdir():
        (folder / "curves.png").unlink()
    assert main(["curves", "runs=[outputs/train]"]) == 0
    said = capsys.readouterr().out
    for folder in Path("outputs/train").iterdir():
        assert (folder / "curves.png").is_file()
        assert f"drawn in {folder}/curves.png" in said


def test_runs_without_anything_to_draw_are_told_and_the_others_drawn(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    empty = Path("outputs/train/empty")
    shutil.copytree(run, empty)
    for name in ("eval.json", "metrics.jsonl", "curves.png"):
        (empty / name).unlink()
    (run / "curves.png").unlink()
    assert main(["curves", "runs=[outputs/train]"]) == 0
    assert "no curves: " in capsys.readouterr().err
    assert (run / "curves.png").is_file() and not (empty / "curves.png").exists()


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ("[]", "runs=[] names no run"),
        ("[nowhere]", "nowhere is no folder"),
        ("[.]", "there is no run in ."),
        ("[latest]", "no run"),
        ("3", "runs"),
    ],
)
def test_wrong_requests_are_one_line(
    here: Path, runs: str, said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["curves", f"runs={runs}"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_runs_of_one_environment_are_compared_whatever_version_made_them() -> None:
    maml, old, other = (
        setting_of_tasks(RunRecord(REFERENCE / name))
        for name in ("cheetah_vel-maml", "cheetah_vel-oracle", "cheetah_vel_u03-maml")
    )
    assert maml == old != other
