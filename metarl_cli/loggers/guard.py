"""Calling foreign code without letting it disturb the run: state, time limits, error texts."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

import numpy as np

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def process_state_kept() -> Iterator[None]:
    """Give back the global random streams, signal handlers and exit hooks as they were."""
    streams = random.getstate(), np.random.get_state()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    hooks = sys.exit, sys.excepthook
    try:
        yield
    finally:
        random.setstate(streams[0])
        np.random.set_state(streams[1])
        sys.exit, sys.excepthook = hooks
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def call_within(limit_s: float, call: Callable[[], object]) -> BaseException | None:
    """Call in a thread and wait at most `limit_s`; return what went wrong, if anything."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # SystemExit too: it must not get out of here
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        return TimeoutError(f"no answer within {limit_s:g} s")
    return errors[0] if errors else None


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
