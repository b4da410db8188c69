"""SIGURG while a run goes on: served in another process, and never a danger."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metarl_cli.commands.parts.request import REQUEST, served_by

MADE = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
SLOW = "import time; time.sleep(60)"
FAILING = "import sys; sys.exit('first\\nlast line')"


def happens(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def test_each_request_runs_the_command_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "made"
    with served_by([sys.executable, "-c", MADE, str(path)], done="it is made"):
        for _ in range(2):
            signal.raise_signal(REQUEST)
            assert happens(path.is_file)
            assert happens(lambda: "it is made" in capsys.readouterr().err)
            path.unlink()


def test_what_fails_is_one_line_and_the_block_goes_on(capsys: pytest.CaptureFixture) -> None:
    with served_by([sys.executable, "-c", FAILING], done="done"):
        signal.raise_signal(REQUEST)
        assert happens(lambda: capsys.readouterr().err == "last line\n")
    with served_by(["/nowhere/at/all"], done="done"):
        signal.raise_signal(REQUEST)
    assert "/nowhere/at/all" in capsys.readouterr().err


def test_the_end_of_the_block_does_not_wait_for_a_command_but_ends_it(
    capsys: pytest.CaptureFixture,
) -> None:
    began = time.monotonic()
    with served_by([sys.executable, "-c", SLOW], done="done"):
        signal.raise_signal(REQUEST)
        signal.raise_signal(REQUEST)  # dropped: one is served
    assert time.monotonic() - began < 10
    assert capsys.readouterr().err == ""


def test_without_the_block_and_outside_the_main_thread_the_signal_does_nothing() -> None:
    before = signal.getsignal(REQUEST)
    assert before == signal.SIG_DFL
    with served_by(["unused"], done="done"):
        assert signal.getsignal(REQUEST) != before
    assert signal.getsignal(REQUEST) == before
    signal.raise_signal(REQUEST)  # ignored by default

    def work() -> None:
        with served_by(["unused"], done="done"):
            assert signal.getsignal(REQUEST) == before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
