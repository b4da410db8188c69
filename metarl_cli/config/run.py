"""Run one Hydra command: compose from the arguments, check, call, and collect exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from metarl_cli.config.check import check
from metarl_cli.config.compose import FAILURES, explain
from metarl_cli.config.sources import our_sources
from metarl_cli.config.sweep_folder import with_sweep_folder
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.paths import conf_dir

STOPPED = (75, 130)  # left after a signal: the rest of a sweep must not start


@dataclass
class SweepTask:
    """What Hydra calls for each job in this process, and where launchers report of other jobs.

    Attributes:
        job: does a job and returns its exit code.
        codes: exit codes of the jobs so far, or of whole sweeps in other processes.
        crashed: whether a job has ended in an error that it should have reported.
    """

    job: Callable[[DictConfig], int]
    codes: list[int] = field(default_factory=list)
    crashed: bool = False

    def __call__(self, cfg: DictConfig) -> None:
        """Do a job in this process."""
        self.crashed = True
        code = self.job(cfg)
        self.crashed = False
        self.note(code)

    def note(self, code: int) -> None:
        """Write down an exit code; that of a job which a signal has stopped ends the sweep."""
        self.codes.append(code)
        if code in STOPPED:
            raise SystemExit(code)


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
    sys.argv = ["metarl", *with_sweep_folder(config_name, arguments)]
    program = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)
    try:
        with our_sources(config_name, arguments):
            program(task)()
    except FAILURES as error:
        if task.crashed:  # inside the command, after its config was found right: a defect of ours
            raise
        task.note(report(UserError(explain(error, config_name, arguments))))
    return max(task.codes, default=0)


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
