"""The process of one job: `metarl`, which does not outlive the program that started it.

Run as `python -m metarl_cli.sweeps.job <command> [key=value ...]`. Who starts it holds the other
end of a pipe and never writes: when he is gone, in whatever way, reading ends. Then the job is
asked to save and to leave, and made to leave if it does not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import NoReturn

from metarl_cli import cli

LEASH = "METARL_LEASH"  # environment variable: `<descriptor of the pipe> <seconds to save in>`


def main() -> NoReturn:
    """Do what the command line says, on a leash if the environment names one."""
    if leash := os.environ.pop(LEASH, ""):  # taken out, for it is not for processes of ours
        descriptor, grace_s = leash.split()
        held = (int(descriptor), float(grace_s))
        threading.Thread(target=_leave_with_the_starter, args=held, daemon=True).start()
    cli.run()


def _leave_with_the_starter(descriptor: int, grace_s: float) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
