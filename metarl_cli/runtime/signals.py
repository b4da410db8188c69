"""Leaving a run when asked to: Ctrl-C, SIGTERM, a lost terminal, a batch scheduler's warnings.

A flag that is looked at between iterations comes too late: schedulers kill after seconds, a rollout
may take longer. So a signal raises `Interrupted` at once where the caller said that this is safe
(`interruptible`), and waits elsewhere (in an update of parameters, in a checkpoint).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
EX_TEMPFAIL = 75  # sysexits.h: try again later, here: resume me
STOPPED = (EX_TEMPFAIL, 130)  # exit codes after a signal, with everything saved
_SHOW_CURSOR = "\x1b[?25h\n"


class Interrupted(BaseException):
    """The run was asked to stop by signal `signum`; not an error, so no `Exception`."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum


def exit_code(signum: int) -> int:
    """Return 130 for Ctrl-C, else 75 (EX_TEMPFAIL): stopped from outside, can be resumed."""
    return 130 if signum == signal.SIGINT else EX_TEMPFAIL


def pass_on(signum: int) -> None:
    """Give a signal, once the work is safe, to whoever handles it outside of an `Interruption`.

    A launcher may: submitit's asks the batch system for another try, and leaves the process.
    """
    handler = signal.getsignal(signum)
    if callable(handler) and handler is not signal.default_int_handler:
        handler(signum, None)


class Interruption:
    """Context that turns signals into `Interrupted` at places of the caller's choice.

    Only the first signal counts, but a second Ctrl-C ends the process at once. Outside the main
    thread nothing is installed (Python allows signal handlers only there), so nothing is raised.
    A lost terminal (SIGHUP) counts unless the process was started to outlive it, as by `nohup`.

    An `Interrupted` may get lost, for instance when it is raised in a finaliser. It stays pending
    until it has left an `interruptible` block in the open, or `check` raises it again.

    Where several processes learn together, one that left would leave the others waiting: all leave
    when the next block begins, if one of them has been asked to.

    Args:
        agree: takes the signal that this process has received, 0 for none, and returns what all of
            them leave for; None: there are no others.
    """

    def __init__(self, agree: Callable[[int], int] | None = None) -> None:
        self.agree = agree
        self._previous: dict[int, Any] = {}
        self._signum: int | None = None  # the first signal received
        self._pending = False
        self._num_ctrl_c = 0
        self._depth = 0  # nested `interruptible` blocks

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            numbers = [n for n in SIGNALS if not (outlives and n == signal.SIGHUP)]
            self._previous = {number: signal.signal(number, self._receive) for number in numbers}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

    @property
    def signum(self) -> int | None:
        """The signal that asked the run to stop, if any."""
        return self._signum

    def check(self) -> None:
        """Raise a pending `Interrupted`; afterwards it is no longer pending."""
        if self.agree:
            signum = self.agree(self._signum or 0)
            if not signum:  # one that has come meanwhile waits until all know of it
                return
            self._signum, self._pending = signum, True
        if self._pending and self._signum is not None:
            self._pending = False
            raise Interrupted(self._signum)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this block a signal raises `Interrupted` at the next bytecode."""
        if self.agree:
            self.check()
            yield
            return
        depth = self._depth
        try:
            self._depth = depth + 1  # first, or a signal between check and here would have to wait
            self.check()
            yield
            self.check()
        except Interrupted:
            self._pending = False
            raise
        finally:
            self._depth = depth

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._num_ctrl_c += number == signal.SIGINT
        if self._num_ctrl_c > 1:
            _leave_at_once()
        if self._signum is not None:
            return
        self._signum = number
        self._pending = True
        if self._depth > 0:
            raise Interrupted(number)


def _leave_at_once() -> None:
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
    os._exit(exit_code(signal.SIGINT))
