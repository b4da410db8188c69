"""Loggers get what they ask for by name, also those that this project does not know."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metarl_cli.loggers.jsonl import read_rows

Call = Callable[..., int]
MINE = ["plugins=[my_loggers]", "+logger.mine._target_=my_loggers.Mine", "+logger.mine.mark=7"]
SOURCE = """
import json
from pathlib import Path


class Mine:
    def __init__(self, mark: int, *, run_dir: Path, title: str, total_steps: int, run_id: object):
        self.run_id = run_id or "first"
        self.file = run_dir / "mine.json"
        self.seen = {"mark": mark, "title": title, "total": total_steps, "known": run_id}
        self.seen["steps"] = []

    def log(self, metrics, step):
        self.seen["steps"].append(step)

    def video(self, name, frames, step):
        pass

    def artifact(self, path, kind, aliases):
        self.seen["artifact"] = path.name

    def notice(self, text):
        self.seen["notice"] = text

    def close(self, status):
        self.file.write_text(json.dumps(self.seen | {"status": status}))


class Demanding(Mine):
    def __init__(self, mark: int, *, weather: str) -> None:
        pass
"""


@pytest.fixture
def my_loggers(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's own, which goes when the test does."""
    (here / "my_loggers.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(here)
    yield here
    sys.modules.pop("my_loggers", None)


def test_logger_of_ones_own_works_beside_ours(my_loggers: Path, train: Call) -> None:
    assert train(*MINE) == 0
    run = my_loggers / "outputs/train/run"
    seen = json.loads((run / "mine.json").read_text())
    assert (seen["mark"], seen["title"], seen["total"]) == (7, "maml on point_nav", 360)
    assert seen["steps"] == [row["env_steps"] for row in read_rows(run / "metrics.jsonl")]
    assert seen["artifact"] in {path.name for path in run.glob("checkpoints/*.pt")}
    assert seen["notice"].endswith("on 2 held-out tasks")
    assert (seen["known"], seen["status"]) == (None, "finished")
    assert json.loads((run / "meta.json").read_text())["mine_run_id"] == "first"


def test_logger_that_wants_what_no_run_has_is_refused_in_one_line(
    my_loggers: Path, train: Call, capsys: pytest.CaptureFixture
) -> None:
    assert train(MINE[0], "+logger.mine._target_=my_loggers.Demanding", MINE[2]) == 2
    error = capsys.readouterr().err
    assert "logger.mine" in error and "weather" in error and error.count("\n") == 1
