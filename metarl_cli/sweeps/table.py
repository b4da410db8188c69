"""What a person sees of jobs that run side by side: a live table, or lines without a terminal.

All of it goes to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from metarl_cli.core.words import short_settings
from metarl_cli.sweeps.course import Course
from metarl_cli.sweeps.jobs import Outcome
from metarl_cli.sweeps.pool import Pool
from metarl_cli.sweeps.progress import Progress
from metarl_cli.sweeps.summary import ending, reason

LOOK_S = 1.0  # between two looks into the folders of the runs
HEARTBEAT_S = 60.0  # between two lines, without a terminal
COLUMNS = ("job", "", "state", "steps", "", "steps/s", "last score", "left")
NAME = 1  # the column of what the jobs are called
ORDER = ("running", "failed", "out_of_time", "stopped", "waiting", "finished", "skipped")
STYLES = {"running": "bold", "failed": "red", "out_of_time": "red", "finished": "green"}
FRAME_LINES = 4  # of the terminal's height that jobs cannot have


class SweepDisplay:
    """Watches a pool and shows it; to be called at every poll.

    Args:
        console: Where to draw; stderr unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live: Live | None = None
        self._progress: dict[int, Progress] = {}
        self._attempts: dict[int, int] = {}
        self._blocked: set[int] = set()  # jobs of which this was told
        self._looked = self._told = time.monotonic()

    def __enter__(self) -> SweepDisplay:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            redirect = sys.stdout.isatty()
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=redirect)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, pool: Pool, new: Sequence[Outcome]) -> None:
        """Tell what is new; every second draw the table, or without one a line every minute."""
        courses = list(pool.courses.values())
        for course in courses:
            self._tell_if_tried_again(course)
            self._tell_if_blocked(course)
        for outcome in new:
            self._tell_end(outcome, courses)
        now = time.monotonic()
        if new or now - self._looked >= LOOK_S:
            self._looked = now
            self._look(courses)
            if self._live is not None:
                self._live.update(self.table(courses), refresh=True)
        if self._live is None and now - self._told >= HEARTBEAT_S:
            self._say("  ".join([_counts(courses), *map(self._in_short, pool.running)]))

    def table(self, courses: Sequence[Course]) -> Table:
        """Lay out the jobs, those that run first; at most as many as the terminal has room for."""
        table = Table(box=None, pad_edge=False, title=_counts(courses), title_justify="left")
        for index, heading in enumerate(COLUMNS):
            side: Literal["left", "right"] = "left" if index in (NAME, NAME + 1) else "right"
            table.add_column(heading, justify=side, no_wrap=index != NAME)  # names give way first
        shown = sorted(courses, key=lambda course: ORDER.index(course.state))
        room = max(1, self._console.height - FRAME_LINES)
        for course in shown[:room]:
            table.add_row(*self._cells(course), style=STYLES.get(course.state, "dim"))
        if len(shown) > room:
            table.caption = f"and {len(shown) - room} more"
        return table

    def _look(self, courses: Sequence[Course]) -> None:
        for course in courses:
            number = course.job.number
            unseen = course.outcome is not None and number not in self._progress
            if course.process is not None or unseen:
                self._progress_of(course).look()

    def _progress_of(self, course: Course) -> Progress:
        return self._progress.setdefault(course.job.number, Progress(course.job.record))

    def _cells(self, course: Course) -> list[Text]:
        seen = self._progress_of(course)
        running = course.state == "running"
        share = f"{100 * seen.steps / seen.total_steps:.0f} %" if seen.total_steps else ""
        texts = (
            str(course.job.number),
            " ".join(short_settings(course.job.label.split(" "))),
            course.state.replace("_", " ") + (f" ({course.attempts})" * (course.attempts > 1)),
            f"{seen.steps:,}" if seen.steps else "",
            share if seen.steps else "",
            f"{seen.rate:,.0f}" if seen.rate and running else "",
            "" if seen.score is None else f"{seen.score:.4g}",
            clock(seen.seconds_left) if seen.seconds_left is not None and running else "",
        )
        return [Text(text, no_wrap=True, overflow="ellipsis") for text in texts]

    def _tell_if_tried_again(self, course: Course) -> None:
        number, attempts = course.job.number, course.attempts
        if attempts > max(1, self._attempts.get(number, 1)):
            self._say(f"{_name(course)} is tried again (attempt {attempts})")
        self._attempts[number] = attempts

    def _tell_if_blocked(self, course: Course) -> None:
        if course.blocked and course.job.number not in self._blocked:
            self._blocked.add(course.job.number)
            self._say(f"{_name(course)} waits: another process is training in {course.job.folder}")

    def _tell_end(self, outcome: Outcome, courses: Sequence[Course]) -> None:
        """Without a table say it of every job, with one only of those that did not finish."""
        if outcome.state == "skipped" or (self._live is not None and outcome.is_good):
            return
        (course,) = (c for c in courses if c.job.number == outcome.job.number)
        num_ended = sum(c.outcome is not None for c in courses)
        text = f"{num_ended}/{len(courses)}  {_name(course)} {ending(outcome)}"
        text += f" after {clock(outcome.seconds)}"
        why = "" if outcome.is_good else reason(outcome.log)
        self._say(f"{text}: {why}" if why else text)

    def _in_short(self, course: Course) -> str:
        seen = self._progress_of(course)
        self._told = time.monotonic()
        share = f"{100 * seen.steps / seen.total_steps:.0f} %" if seen.total_steps else "begins"
        return f"{_name(course)} {share}"

    def _say(self, text: str) -> None:
        self._told = time.monotonic()
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)


def clock(seconds: float) -> str:
    """Return `1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _counts(courses: Sequence[Course]) -> str:
    """Return `2 running, 3 waiting, 1 failed, 14 finished`."""
    counts = Counter(course.state for course in courses)
    return ", ".join(f"{counts[s]} {s.replace('_', ' ')}" for s in ORDER if counts[s])


def _name(course: Course) -> str:
    return course.job.label or f"job {course.job.number}"
