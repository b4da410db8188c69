"""One job on its way: attempt after attempt in processes of its own, until it has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from metarl_cli.core.errors import writing_into
from metarl_cli.runtime.signals import STOPPED
from metarl_cli.sweeps.job import LEASH
from metarl_cli.sweeps.jobs import WRONG_REQUEST, Job, Limits, Outcome, State, command_line

THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Course:
    """How a job is going: waiting, running (`process` is there) or ended (`outcome` is there)."""

    job: Job
    attempts: int = 0
    process: subprocess.Popen | None = None
    outcome: Outcome | None = None
    blocked: bool = False  # waits for another process that trains in its folder
    stopping: State | None = None  # how it will have ended, once it has left as it was asked to
    _former_s: float = 0.0  # seconds of earlier attempts
    _started: float = 0.0
    _kill_at: float = field(default=float("inf"))

    @property
    def seconds(self) -> float:
        """Seconds that the job has been running, all attempts together."""
        running_s = time.monotonic() - self._started if self.process else 0.0
        return self._former_s + running_s

    @property
    def state(self) -> str:
        """`waiting`, `running`, or how the job has ended."""
        if self.outcome is not None:
            return self.outcome.state
        return "waiting" if self.process is None else "running"

    def start(self, limits: Limits, leash: int) -> None:
        """Begin another attempt; the job ends when nobody holds the other end of `leash`."""
        self.attempts += 1
        words, threads = command_line(self.job, limits.threads_each)
        environment = os.environ | {"PYTHONUNBUFFERED": "1", LEASH: f"{leash} {limits.grace_s}"}
        environment |= dict.fromkeys(THREAD_LIMITS, str(threads)) if threads else {}
        with writing_into(self.job.log.parent):
            self.job.log.parent.mkdir(parents=True, exist_ok=True)
            log = self.job.log.open("ab")
        with log:
            log.write(f"--- attempt {self.attempts}: metarl {' '.join(words)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                [*_interpreter(), "-m", "metarl_cli.sweeps.job", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(leash,),
                start_new_session=True,  # Ctrl-C is for the pool, which asks its jobs itself
            )
        self._started = time.monotonic()

    def ask_to_stop(self, state: State, grace_s: float) -> None:
        """Let the job save and leave; after `grace_s` seconds more it is killed."""
        if self.process is not None and self.stopping is None:
            self.stopping, self._kill_at = state, time.monotonic() + grace_s
            self.process.terminate()

    def enforce(self, limits: Limits) -> None:
        """Stop a job whose time is up; kill one that was asked to leave and did not."""
        if limits.time_limit_s is not None and self.seconds > limits.time_limit_s:
            self.ask_to_stop("out_of_time", limits.grace_s)
        if time.monotonic() > self._kill_at:
            self._kill()

    def settle(self, limits: Limits) -> bool:
        """Take note if the attempt is over; return whether there should be another one."""
        if self.process is None or (code := self.process.poll()) is None:
            return False
        self._kill()  # what it has left behind: W&B's own process, for one
        self._former_s, self.process = self.seconds, None
        state = self._state(code, limits)
        if state is not None:
            self.end(state, code)
        return state is None

    def end(self, state: State, code: int | None = None) -> None:
        """Write down how the job has ended."""
        job = self.job
        self.outcome = Outcome(job, state, code, self.seconds, self.attempts, job.log)

    def _state(self, code: int, limits: Limits) -> State | None:
        """How a job with this exit code has ended; None: try again."""
        if code == 0:
            return "finished"
        if self.stopping:
            return self.stopping
        if code in STOPPED:  # by somebody else, who means this one
            return "stopped"
        hopeless = code == WRONG_REQUEST or (code > 0 and not self.job.can_continue)
        again = not hopeless and self.attempts <= limits.retries
        return None if again else "failed"

    def _kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)  # it leads a group of its own


def _interpreter() -> list[str]:
    """The interpreter, without the current folder on its path unless it is on ours, too."""
    safe = not {"", os.getcwd()} & set(sys.path)
    return [sys.executable, *(["-P"] if safe else [])]
