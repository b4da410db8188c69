"""A word to whoever waits at a terminal, and none to anybody else."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metarl_cli.config.waiting import ERASE, Waiting

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_text_is_there_until_something_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    waiting = Waiting("loading")
    assert terminal.getvalue() == "loading ..."
    assert waiting.until(lambda x: x + 1)(2) == 3
    waiting.end()
    assert terminal.getvalue() == f"loading ...{ERASE}"


def test_nothing_is_said_without_a_terminal(capsys: pytest.CaptureFixture) -> None:
    Waiting("loading").end()
    assert capsys.readouterr().err == ""


def test_something_is_said_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "metarl_cli.cli", "train", "seed=-1"]
    process = subprocess.Popen(
        program, cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    started = time.process_time()
    said = b""
    try:
        while chunk := os.read(ours, 1000):
            said += chunk
    except OSError:  # the other end is closed
        pass
    assert process.wait(timeout=120) == 2
    assert time.process_time() - started < 5  # reading costs nothing
    first, _, rest = said.decode().partition(ERASE)
    assert first == "metarl train: loading ..."
    assert rest.startswith("metarl: seed must be at least 0, got -1")
