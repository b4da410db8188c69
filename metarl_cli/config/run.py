"""Run one Hydra command: compose from the arguments, check, call, and collect exit codes."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from metarl_cli.config.check import check
from metarl_cli.config.compose import FAILURES, explain, missing_extra
from metarl_cli.config.naming import sweep_noted, with_sweep_folder
from metarl_cli.config.sources import our_sources
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.paths import conf_dir
from metarl_cli.runtime.signals import STOPPED

LAUNCHERS = ("submitit", "ray")  # packages whose errors say that a cluster or its job has failed


class JobError(Exception):
    """A job that a launcher runs in another process has ended with an exit code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class SweepTask:
    """What Hydra calls for each job in this process, and where launchers report of other jobs.

    A launcher may pickle it to have the job done elsewhere. There, all that comes back is whether
    the job has failed, by an exception.

    Attributes:
        job: does a job and returns its exit code.
        codes: exit codes of the jobs so far, or of whole sweeps in other processes.
        crashed: whether a job has ended in an error that it should have reported.
        typed: the command line of this program, for the records of jobs elsewhere.
        elsewhere: whether this is the copy in a process of a launcher's.
    """

    job: Callable[[DictConfig], int]
    codes: list[int] = field(default_factory=list)
    crashed: bool = False
    typed: list[str] = field(default_factory=lambda: list(sys.orig_argv))
    elsewhere: bool = False

    def __call__(self, cfg: DictConfig) -> None:
        """Do a job in this process."""
        self.crashed = True
        code = self._code_of(cfg) if self.elsewhere else self.job(cfg)
        self.crashed = False
        self.note(code)
        if code and self.elsewhere:
            raise JobError(code)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, elsewhere=True)

    def note(self, code: int) -> None:
        """Write down an exit code; that of a job which a signal has stopped ends the sweep."""
        self.codes.append(code)
        if code in STOPPED:
            raise SystemExit(code)

    def _code_of(self, cfg: DictConfig) -> int:
        """Do a job; its error goes into the log of the job, it would be lost on the way back."""
        sys.orig_argv = self.typed
        try:
            return self.job(cfg)
        except Exception:
            traceback.print_exc()
            return 1


def run_hydra(
    config_name: str,
    arguments: Sequence[str],
    *,
    schema: type,
    command: Callable[[DictConfig], int],
    report: Callable[[Exception], int],
) -> int:
    """Run a command under `hydra.main`, once or as a sweep, and return the process exit code.

    Args:
        config_name: the primary config in `conf/`.
        arguments: Hydra's flags and overrides.
        schema: dataclass of the primary config's fixed keys.
        command: gets the checked config and returns an exit code.
        report: tells the user about an error in one line and returns its exit code.
    """
    task = SweepTask(lambda cfg: _run_job(cfg, schema, command, report))
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # Our hydra/launcher/ray.yaml has the name of its plugin's schema and is rightly checked by it
    warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/ray' is validated against")
    sys.argv = ["metarl", *with_sweep_folder(config_name, arguments)]
    program = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)
    try:
        with our_sources(config_name, arguments), sweep_noted(arguments):
            program(task)()
    except JobError as failed:  # the first of them, of which Hydra has told the settings
        task.note(failed.code)
    except Exception as error:
        if task.crashed:  # inside the command, after its config was found right: a defect of ours
            raise
        task.note(report(_in_words(error, config_name, arguments)))
    return max(task.codes, default=0)


def _in_words(error: Exception, config_name: str, arguments: Sequence[str]) -> Exception:
    """Return what the user can read of an error outside of jobs; a defect of ours is raised."""
    if isinstance(error, FAILURES) or missing_extra(error):
        return UserError(explain(error, config_name, arguments))
    if _raised_in(error) in LAUNCHERS:
        return RunError(f"the launcher has failed: {str(error).strip().partition(chr(10))[0]}")
    raise error


def _raised_in(error: Exception) -> str:
    """Return the name of the package that an error comes from."""
    innermost = list(traceback.walk_tb(error.__traceback__))[-1][0]
    return str(innermost.f_globals.get("__name__", "")).partition(".")[0]


def _run_job(
    cfg: DictConfig,
    schema: type,
    command: Callable[[DictConfig], int],
    report: Callable[[Exception], int],
) -> int:
    try:
        check(cfg, schema)
        return command(cfg)
    except (UserError, RunError, OSError) as error:
        return report(error)
    finally:
        _remove_if_empty(Path(HydraConfig.get().runtime.output_dir))


def _remove_if_empty(folder: Path) -> None:
    """Remove the run folder that Hydra made for a job that wrote nothing, and empty parents."""
    home = Path.cwd()
    while home in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
