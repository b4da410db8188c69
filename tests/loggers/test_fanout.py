import numpy as np
import pytest

from metarl_cli.core.errors import RunError
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.loggers.jsonl import JsonlLogger, read_rows


class Mirror:
    """Remembers calls and fails at steps it was told to fail at."""

    def __init__(self, fails_at=()):
        self.calls, self.fails_at = [], fails_at

    def log(self, metrics, step):
        self.calls.append(("log", step))
        if step in self.fails_at:
            raise ConnectionResetError("gone")

    def video(self, name, frames, step):
        self.calls.append(("video", name))

    def artifact(self, path, kind, aliases):
        self.calls.append(("artifact", kind))

    def notice(self, text):
        self.calls.append(("notice", text))

    def close(self, status):
        self.calls.append(("close", status))
        if "close" in self.fails_at:
            raise OSError("no")


def test_every_logger_gets_every_call(tmp_path):
    mirror = Mirror()
    fanout = Fanout([mirror, JsonlLogger(record_path=tmp_path / "metrics.jsonl")])
    fanout.log({"a": 1.0}, 5)
    fanout.video("test", np.zeros((1, 2, 2, 3), np.uint8), 5)
    fanout.artifact(tmp_path, "checkpoint", ["latest"])
    fanout.notice("hello")
    fanout.close("finished")
    assert mirror.calls == [
        ("log", 5), ("video", "test"), ("artifact", "checkpoint"), ("notice", "hello"),
        ("close", "finished"),
    ]  # fmt: skip
    assert read_rows(tmp_path / "metrics.jsonl") == [{"env_steps": 5, "a": 1.0}]


def test_broken_mirror_is_reported_once_and_the_record_goes_on(tmp_path, capsys):
    broken, sound = Mirror(fails_at=(2, "close")), Mirror()
    fanout = Fanout([broken, JsonlLogger(record_path=tmp_path / "metrics.jsonl"), sound])
    for step in (1, 2, 3):
        fanout.log({}, step)
    fanout.close("finished")
    assert broken.calls == [("log", 1), ("log", 2), ("close", "finished")]
    assert sound.calls == [("log", 1), ("log", 2), ("log", 3), ("close", "finished")]
    assert [row["env_steps"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_error_of_the_record_propagates():
    mirror = Mirror()
    fanout = Fanout([JsonlLogger(record_path="/dev/full"), mirror])
    with pytest.raises(RunError):
        fanout.log({}, 1)
