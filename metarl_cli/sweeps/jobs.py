"""What a job is, what it may take, how it can end, and the words that it is started with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metarl_cli.config.arguments import as_value
from metarl_cli.core.errors import UserError
from metarl_cli.core.paths import usable_cores
from metarl_cli.runtime.run_record import RunRecord

WRONG_REQUEST = 2  # exit code; trying again would not make it right
GOOD = ("finished", "skipped")
State = Literal["finished", "failed", "stopped", "skipped", "out_of_time"]


@dataclass(frozen=True)
class Job:
    """A command line of metarl to be carried out in a folder of its own.

    Attributes:
        number: tells the jobs of a pool apart.
        arguments: the words after the command, without the folder.
        folder: of the run; it is made by the job.
        label: short name for people, such as the keys that differ between the jobs.
        command: the word after `metarl`. Only `train` can be skipped and continued.
    """

    number: int
    arguments: tuple[str, ...]
    folder: Path
    label: str = ""
    command: str = "train"

    @property
    def log(self) -> Path:
        """The file beside the folder that keeps what the job writes to stdout and stderr."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def can_continue(self) -> bool:
        """Whether a further attempt goes on where the last one ended."""
        return self.command == "train"

    @property
    def record(self) -> RunRecord:
        """What the job has left in its folder so far."""
        return RunRecord(self.folder)


@dataclass(frozen=True)
class Limits:
    """What the jobs of a pool may take.

    Attributes:
        n_jobs: running at once; 0 = as many as there are usable cores.
        threads: of each job, unless its arguments set `threads`; 0 = its share of the cores.
        time_limit_s: seconds that a job may run, all attempts together; None = no limit.
        retries: further attempts after a job was killed or has failed; a wrong request gets none.
        grace_s: seconds that a job has to save after it was asked to stop.
    """

    n_jobs: int = 0
    threads: int = 0
    time_limit_s: float | None = None
    retries: int = 2
    grace_s: float = 60.0

    @property
    def at_once(self) -> int:
        """How many jobs run at the same time."""
        return self.n_jobs or usable_cores()

    @property
    def threads_each(self) -> int:
        """CPU threads of each job."""
        return self.threads or max(1, usable_cores() // self.at_once)


@dataclass(frozen=True)
class Outcome:
    """How a job has ended; `exit_code` is negative after a signal, None if it never ran."""

    job: Job
    state: State
    exit_code: int | None
    seconds: float
    attempts: int
    log: Path

    @property
    def is_good(self) -> bool:
        """Whether the job's run is there and complete."""
        return self.state in GOOD


def is_finished(job: Job) -> bool:
    """Whether the job's run is there and complete.

    Raises:
        UserError: the folder holds a run of another command line.
    """
    record = job.record
    finished = record.identity.status == "finished"
    command = record.identity.command or []
    if not (finished or record.has_checkpoint) or command[:2] != ["metarl", job.command]:
        return finished
    if {"-m", "--multirun"} & set(command):  # of a whole sweep, by another launcher
        return finished
    own = _settings(job.arguments)
    held = [word for word in _settings(command[2:]) if not sets("threads", word) or word in own]
    own = [word for word in own if not sets("threads", word) or word in held]
    if held != own:
        raise UserError(f"{job.folder} holds a run of other settings: {' '.join(command)}")
    return finished


def command_line(job: Job, threads: int) -> tuple[list[str], int | None]:
    """Return the words after `metarl` for the next attempt, and the threads that the pool sets.

    A run that has a checkpoint goes on, with the threads that it began with.
    """
    folder = as_value(str(job.folder))
    if job.can_continue and job.record.has_checkpoint:
        trusted = [word for word in job.arguments if sets("plugins", word)]  # must be said anew
        return ["train", f"resume={folder}", *trusted], job.record.identity.threads
    own = [*job.arguments, f"hydra.run.dir={folder}"]
    if not job.can_continue or any(sets("threads", word) for word in job.arguments):
        return [job.command, *own], None
    return [job.command, *own, f"threads={threads}"], threads


def sets(key: str, word: str) -> bool:
    """Whether a word of a command line gives a value to a key at the root."""
    return word.lstrip("+").startswith(f"{key}=")


def _settings(words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if not word.startswith(("hydra.", "hydra/", "-")))
