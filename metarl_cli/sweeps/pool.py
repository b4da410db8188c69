"""Jobs side by side on one machine: a fresh interpreter each, a limit on number, time and attempts.

Knows nothing of Hydra and of terminals, and imports no torch: who waits needs no gigabyte. A job
that is killed goes on from its newest checkpoint, bit for bit; so does one that a former pool left
unfinished in the same folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from metarl_cli.core.errors import UserError
from metarl_cli.runtime.signals import Interruption
from metarl_cli.sweeps.course import Course
from metarl_cli.sweeps.jobs import Job, Limits, Outcome, State, is_finished

PERIOD_S = 0.1  # between two looks at the jobs


class Pool:
    """Runs submitted jobs, as many at once as the limits say, whenever `poll` is called.

    Leaving the context asks the jobs that still run to save and to stop, and waits for them. If
    this process dies, they do the same by themselves.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.courses: dict[int, Course] = {}  # of all jobs, by number
        self._waiting: deque[Course] = deque()
        self._ended: list[Outcome] = []  # to be told by the next `poll`
        self._leash, self._hold = os.pipe()  # each job has the one, nobody but us has the other

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()
        while self.busy:
            self.poll()
            time.sleep(PERIOD_S)
        os.close(self._hold)
        os.close(self._leash)

    @property
    def running(self) -> list[Course]:
        """The jobs that run in this moment."""
        return [course for course in self.courses.values() if course.process is not None]

    @property
    def busy(self) -> bool:
        """Whether there is anything left to run, to wait for or to tell."""
        return bool(self._waiting or self.running or self._ended)

    def submit(self, job: Job) -> None:
        """Put a job into the queue; one whose folder holds its finished run is skipped.

        Raises:
            UserError: the folder belongs to another job, or to a run with other settings.
        """
        for other in self.courses.values():
            if other.job.folder == job.folder or other.job.number == job.number:
                raise UserError(f"jobs {other.job.number} and {job.number} share {job.folder}")
        course = Course(job)
        if job.can_continue and is_finished(job):
            self._end(course, "skipped")
        else:
            self._waiting.append(course)
        self.courses[job.number] = course

    def poll(self) -> list[Outcome]:
        """Look after the jobs: start what may start, and return what has ended since last time."""
        for course in self.running:
            course.enforce(self.limits)
            if course.settle(self.limits):
                self._waiting.appendleft(course)
            elif course.outcome:
                self._ended.append(course.outcome)
        self._start()
        ended, self._ended = self._ended, []
        return ended

    def stop(self, number: int) -> None:
        """Let a job save and end as `stopped`; one that waits will not start."""
        course = self.courses[number]
        if course in self._waiting:
            self._waiting.remove(course)
            self._end(course, "stopped")
        course.ask_to_stop("stopped", self.limits.grace_s)

    def stop_all(self) -> None:
        """Stop every job."""
        for number in self.courses:
            self.stop(number)

    def _end(self, course: Course, state: State) -> None:
        course.end(state)
        if course.outcome:
            self._ended.append(course.outcome)

    def _start(self) -> None:
        """Start waiting jobs in order; those in whose folder somebody still trains wait on."""
        free = self.limits.at_once - len(self.running)
        for course in list(self._waiting):
            if free <= 0:
                return
            course.blocked = course.job.record.in_use
            if not course.blocked:
                self._waiting.remove(course)
                course.start(self.limits, self._leash)
                free -= 1


Watch = Callable[[Pool, list[Outcome]], None]


def run_jobs(
    jobs: Iterable[Job],
    limits: Limits,
    watch: Watch | None = None,
    interruption: Interruption | None = None,
) -> list[Outcome]:
    """Run jobs until all have ended; a signal to this process stops them in order.

    Args:
        jobs: to be run.
        limits: what they may take.
        watch: is called ten times a second with the pool, in which it may `submit` and `stop`
            jobs, and with the outcomes that are new.
        interruption: says whether a signal came; without one, signals are listened to here.

    Returns:
        How they ended, in the order in which they did.
    """
    outcomes: list[Outcome] = []
    with _listening(interruption) as asked, Pool(limits) as pool:
        for job in jobs:
            pool.submit(job)
        while pool.busy:
            if asked.signum is not None:
                pool.stop_all()
            outcomes += (new := pool.poll())
            if watch is not None:
                watch(pool, new)
            time.sleep(PERIOD_S)
    return outcomes


@contextlib.contextmanager
def _listening(interruption: Interruption | None) -> Iterator[Interruption]:
    if interruption is not None:
        yield interruption
        return
    with Interruption() as own:
        yield own
