"""Serving the user while a run goes on: SIGURG asks for a picture of how it does.

All signals that end a run are taken (`runtime.signals`). This one is ignored by whoever does not
know it: sent too early, too late or to another process it does no harm.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from metarl_cli.loggers.notices import tell

REQUEST = signal.SIGURG


@contextlib.contextmanager
def served_by(command: Sequence[str], done: str) -> Iterator[None]:
    """Run a command, in a process of its own, each time that SIGURG comes within this block.

    What the run does neither waits for it nor changes by it, and does not end with its failures.
    A request is dropped that comes while one is served, or that is served when the block ends.
    Outside the main thread nothing is served: Python allows signal handlers only there.

    Args:
        command: a program and its arguments.
        done: what to tell the user when it has succeeded; else he is told its last line.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    server = _Server(command, done)
    previous = signal.signal(REQUEST, server.request)
    try:
        yield
    finally:
        signal.signal(REQUEST, signal.SIG_DFL if previous is None else previous)
        server.give_up()


class _Server:
    def __init__(self, command: Sequence[str], done: str) -> None:
        self._command, self._done = command, done
        self._process: subprocess.Popen[str] | None = None
        self._given_up = False

    def request(self, number: int, frame: FrameType | None) -> None:
        """Start the command unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            tell(f"{self._command[0]}: {error}")
            return
        threading.Thread(target=self._tell, args=(self._process,), daemon=True).start()

    def give_up(self) -> None:
        """End the command, so that it cannot overwrite what comes after the block."""
        self._given_up = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _tell(self, process: subprocess.Popen[str]) -> None:
        _, said = process.communicate()
        if not self._given_up:
            tell(self._done if process.returncode == 0 else said.strip().rpartition("\n")[2])
