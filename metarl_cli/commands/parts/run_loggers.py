"""Builds the loggers of a run: each gets what it asks for by name, so none is known here.

A logger of one's own stands under a key of its own, `logger.mine._target_=my_package.MyLogger`, and
takes by keyword-only arguments whatever of `RunObjects` it needs; its settings are its other
arguments.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from metarl_cli.config.build import build
from metarl_cli.config.check import locate, parameters_of, plugins_of
from metarl_cli.core.errors import UserError
from metarl_cli.core.plugins import conf_file
from metarl_cli.core.protocols import Logger
from metarl_cli.loggers.console import ConsoleLogger
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.loggers.jsonl import JsonlLogger
from metarl_cli.runtime.run_record import RunFiles


@dataclass(frozen=True, kw_only=True)
class RunObjects:
    """What a run offers to its loggers, under the names that their constructors take it by."""

    run_dir: Path
    config: Mapping[str, Any]  # resolved, nested
    title: str  # for people, `maml on cheetah_vel`
    name: str  # of this run among others, `maml-cheetah_vel-s0`
    default_group: str  # of runs that differ by their seed, `cheetah_vel/maml`
    choices: Mapping[str, str] = field(default_factory=dict)  # options by their groups: env, algo
    run_tags: Sequence[str] = ()  # words to find the run by
    job_type: str  # train or eval
    total_steps: int  # environment steps at which the run ends
    initial_step: int = 0  # already done when a run is resumed
    resume: bool = False
    run_ids: Mapping[str, str | None] = field(default_factory=dict)  # by key, see `LoggersOfRun`

    @property
    def record_path(self) -> Path:
        """Where the record is kept."""
        return RunFiles(self.run_dir).record

    def offered(self, key: str) -> dict[str, Any]:
        """Return what the logger under `key` may take."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        del named["run_ids"]
        derived = {
            "record_path": self.record_path,
            "run_id": self.run_ids.get(key),  # what it called the run before
        }
        return named | derived


@dataclass(frozen=True)
class LoggersOfRun:
    """The chosen loggers, and those of them that a run must know."""

    all: Fanout
    record: JsonlLogger
    run_ids: dict[str, str]  # what trackers call this run, by their keys


def build_loggers(nodes: DictConfig, objects: RunObjects) -> LoggersOfRun:
    """Build every logger under `logger.`, and those that a run has whatever was chosen.

    The record is always kept. Progress is shown, too, unless nothing but the record was chosen.
    """
    built = {str(key): build_logger(node, objects) for key, node in nodes.items()}
    loggers = list(built.values())
    record = next((x for x in loggers if isinstance(x, JsonlLogger)), None)
    if record is None:
        record = JsonlLogger(record_path=objects.record_path)
        loggers.append(record)
    if len(loggers) > 1 and not any(isinstance(x, ConsoleLogger) for x in loggers):
        loggers.insert(0, build_logger(_console_node(), objects))
    ids = {key: getattr(logger, "run_id", None) for key, logger in built.items()}
    known = {key: str(run_id) for key, run_id in ids.items() if run_id}
    return LoggersOfRun(Fanout(loggers), record, known)


def no_loggers() -> LoggersOfRun:
    """Return what a process has that leaves the writing to another."""
    return LoggersOfRun(Fanout([]), JsonlLogger(record_path=os.devnull), {})


def build_logger(node: DictConfig, objects: RunObjects) -> Logger:
    """Build one logger with its settings and what it asks for of the run.

    Raises:
        UserError: it asks for something that is neither a setting nor offered.
    """
    key = str(node._key())
    where = f"logger.{key}"
    target = locate(node.get("_target_"), key=where, plugins=plugins_of(node))
    offered, wanted = objects.offered(key), {}
    for name, parameter in parameters_of(target, key=where).items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name in node:
            continue
        if name in offered:
            wanted[name] = offered[name]
        elif parameter.default is inspect.Parameter.empty:
            raise UserError(f"{where} takes {name}; a run offers {', '.join(sorted(offered))}")
    built: Logger = build(node, **wanted)
    return built


def _console_node() -> DictConfig:
    """Settings of the display, for a run that has chosen loggers and no display."""
    path = conf_file("logger/console.yaml")
    assert path is not None
    node: DictConfig = OmegaConf.load(path).console
    return node
