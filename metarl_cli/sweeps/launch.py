"""A sweep of Hydra's as jobs of a pool: what each is called with, and how all of them ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from metarl_cli.config.arguments import as_value
from metarl_cli.config.check import check
from metarl_cli.config.schema import LocalPoolConfig
from metarl_cli.core.errors import UserError
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.signals import Interruption, exit_code
from metarl_cli.sweeps.jobs import WRONG_REQUEST, Job, Limits, Outcome, sets
from metarl_cli.sweeps.pool import run_jobs
from metarl_cli.sweeps.summary import failures, settings_of, settings_table
from metarl_cli.sweeps.table import SweepDisplay

COMMANDS = {"train": "train", "resume": "train", "eval": "eval", "film": "film", "bench": "bench"}
# Settings of Hydra's that are for the sweep and not for its jobs
FOR_THE_SWEEP = ("hydra.launcher", "hydra/launcher", "hydra.sweep", "hydra/sweep", "hydra.mode")
OF_FOLDERS = ("hydra.run.dir", "hydra/output")
PLAIN_WIDTH = 200  # columns without a terminal


@dataclass(frozen=True)
class Sweep:
    """A sweep as Hydra knows it.

    Attributes:
        config: of the whole sweep.
        compose: makes the config of one job from that and the words of the job.
    """

    config: DictConfig
    compose: Callable[[DictConfig, list[str]], DictConfig]

    @property
    def folder(self) -> Path:
        """The folder of the sweep, which holds those of its jobs."""
        return Path(str(self.config.hydra.sweep.dir))

    def jobs(self, overrides: Sequence[Sequence[str]], first_number: int) -> list[Job]:
        """Return a job for each list of overrides, named after the keys in which they differ."""
        command = COMMANDS.get(str(self.config.hydra.job.config_name))
        if command is None:
            raise UserError("hydra/launcher=local_pool runs train, eval, film and bench only")
        labels = labels_of(overrides)
        return [
            self._job(first_number + index, command, list(words), labels[index])
            for index, words in enumerate(overrides)
        ]

    def _job(self, number: int, command: str, words: list[str], label: tuple[str, ...]) -> Job:
        cfg = self.compose(self.config, words)
        with open_dict(cfg):
            cfg.hydra.job.id = cfg.hydra.job.num = number
        HydraConfig.instance().set_config(cfg)  # for what the name of the folder refers to
        folder = self.folder / str(cfg.hydra.sweep.subdir)
        own = [*self._flags(), *self._words_for_hydra(), *words]
        if command == "train":
            own += _of_presets(cfg, own)
        if command == "eval" and not any(sets("output", word) for word in own):
            own.append(f"output={as_value(str(folder / 'eval.json'))}")
        return Job(number, tuple(own), folder, " ".join(label), command)

    def _flags(self) -> list[str]:
        """Return `--config-dir` as it was typed."""
        sources = OmegaConf.to_container(self.config.hydra.runtime.config_sources)
        assert isinstance(sources, list)
        typed = [source["path"] for source in sources if source["provider"] == "command-line"]
        return [f"--config-dir={path}" for path in typed]

    def _words_for_hydra(self) -> list[str]:
        words = [str(word) for word in self.config.hydra.overrides.hydra]
        return [w for w in words if not w.lstrip("+~").startswith((*FOR_THE_SWEEP, *OF_FOLDERS))]


def _of_presets(cfg: DictConfig, words: Sequence[str]) -> list[str]:
    """Return what a preset says and the pool must know: not to choose threads, whom to trust."""
    found = []
    for key in ("threads", "plugins"):
        if (value := cfg.get(key)) and not any(sets(key, word) for word in words):
            shown = f"[{','.join(value)}]" if key == "plugins" else value
            found.append(f"{key}={shown}")
    return found


def labels_of(overrides: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return, of each list of overrides, those that not all lists share."""
    shared = set.intersection(*map(set, overrides)) if overrides else set()
    return [tuple(word for word in words if word not in shared) for words in overrides]


def launch(folder: Path, jobs: Sequence[Job], limits: Mapping[str, Any]) -> int:
    """Run the jobs, show them, sum them up; return the exit code of the sweep.

    Args:
        folder: of the sweep.
        jobs: to be run.
        limits: settings of the launcher.
    """
    allowed = _limits(limits)
    at_once = min(allowed.at_once, len(jobs))
    tell(f"{len(jobs)} jobs, {at_once} at a time, in {folder}")
    with Interruption() as interruption, SweepDisplay() as display:
        outcomes = run_jobs(jobs, allowed, display, interruption)
    _sum_up(folder, outcomes)
    if interruption.signum is not None:
        return exit_code(interruption.signum)
    return code_of(outcomes)


def code_of(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if all jobs are finished, 2 if all others were wrong requests, else 1."""
    unfinished = [outcome for outcome in outcomes if not outcome.is_good]
    if not unfinished:
        return 0
    return WRONG_REQUEST if all(o.exit_code == WRONG_REQUEST for o in unfinished) else 1


def setting_of(label: str) -> str:
    """Return a label without the seed."""
    words = label.split(" ")
    return " ".join(word for word in words if not word.lstrip("+").startswith("seed="))


def _limits(settings: Mapping[str, Any]) -> Limits:
    cfg = OmegaConf.create(dict(settings))
    try:
        check(cfg, LocalPoolConfig)
    except UserError as error:
        raise UserError(f"hydra.launcher.{error}") from error
    return Limits(**{str(key): value for key, value in cfg.items()})


def _sum_up(folder: Path, outcomes: Sequence[Outcome]) -> None:
    names = {outcome.job.number: setting_of(outcome.job.label) for outcome in outcomes}
    if settings := settings_of(outcomes, names):
        console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
        console.print(settings_table(settings))
    skipped = sum(outcome.state == "skipped" for outcome in outcomes)
    if skipped:
        tell(f"{skipped} of {len(outcomes)} jobs were finished before and are not run again;")
        tell(f"to do so, remove {folder} or choose another hydra.sweep.dir")
    if lines := failures(outcomes):
        tell(f"{len(lines)} of {len(outcomes)} jobs are not finished:")
        for line in lines:
            tell(line)
        tell("the same command again runs only what is missing")
