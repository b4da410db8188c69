"""`metarl list`: what can be composed, and which runs exist."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metarl_cli.commands.words.comments import header_of, keys_of
from metarl_cli.commands.words.explanations import Setting, explain_settings
from metarl_cli.commands.words.lines import paragraph
from metarl_cli.commands.words.pages import settings_lines
from metarl_cli.config.build import build
from metarl_cli.config.check import check, plugins_of
from metarl_cli.config.compose import compose, files_of, options_of
from metarl_cli.config.schema import BenchConfig, TrainConfig
from metarl_cli.config.targets import locate
from metarl_cli.core.errors import UserError
from metarl_cli.core.plugins import conf_file
from metarl_cli.core.words import TEST, VALIDATION, short_settings, suggest
from metarl_cli.runtime.find_runs import find_runs
from metarl_cli.runtime.run_record import RunRecord

GROUPS = {
    "envs": "env",
    "algos": "algo",
    "networks": "network",
    "experiments": "experiment",
    "budgets": "budget",
    "loggers": "logger",
}
RUNS = "runs"
RUN_COLUMNS = ("run", "name", "env", "algo", "swept", "seed", "status", "env_steps", "last_eval")
OPTIONS = "env=<name>, algo=<name>, ..."
OUTPUTS = Path("outputs")
PLAIN_WIDTH = 200  # columns without a terminal


def main(arguments: Sequence[str]) -> int:
    """Print tables of environments, algorithms, networks, experiments and runs.

    Args:
        arguments: any of the words above, or an option with all it sets, such as `algo=maml`; none
            means all but the runs.
    """
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    for word in arguments or GROUPS:
        group, equals, name = word.partition("=")
        if word in ("-h", "--help"):
            console.print(f"metarl list [{' | '.join([*GROUPS, RUNS])}] | {OPTIONS}", markup=False)
        elif word == RUNS:
            console.print(_runs_table(OUTPUTS))
        elif equals and group in GROUPS.values():
            _show_option(console, group, name)
        elif word in GROUPS:
            console.print(_options_table(word))
        else:
            words = [*GROUPS, RUNS]
            hint = suggest(word, words) or f" There are {', '.join(words)} and {OPTIONS}."
            raise UserError(f"cannot list {word}.{hint}")
    return 0


def description(option: str) -> str:
    """Return the comment header of a YAML such as `env/nav2d`."""
    path = conf_file(f"{option}.yaml")
    return header_of(path) if path else ""


def _options_table(title: str) -> Table:
    group = GROUPS[title]
    table = _table(title, group, "what it is")
    for option in options_of(group):
        text = description(f"{group}/{option}")
        table.add_row(option, text.partition("\n")[0])
    return table


def _runs_table(outputs: Path) -> Table:
    table = _table("runs, newest first", *RUN_COLUMNS)
    for run in find_runs(outputs):
        table.add_row(*(escape(text) for text in _run_row(run)))
    return table


def _run_row(run: RunRecord) -> list[str]:
    """Say what is known of a run; a damaged one is listed as such."""
    known, status = run.identity, run.identity.status
    steps, last_eval = known.env_steps, ""
    try:
        for row in run.rows() if run.files.record.exists() else ():
            steps = row["env_steps"] if known.env_steps is None else steps
            last_eval = _probe_curve(row) or last_eval
    except UserError as error:
        status = f"damaged: {error}"
    status = f"damaged: {run.fault}" if run.fault else status
    swept = " ".join(short_settings(known.swept or []))
    what = (known.name, known.env, known.algo, swept, known.seed)
    facts = (run.folder.as_posix(), *what, status, steps, last_eval)
    return ["" if fact is None else str(fact) for fact in facts]


def _probe_curve(row: dict[str, Any]) -> str:
    """Return the greedy return after 0, 1, ... K episodes: `-40.1 > -11.5 > -4.2`."""
    values: list[str] = []
    group = TEST if f"{TEST}/probe_0" in row else VALIDATION
    while isinstance(score := row.get(f"{group}/probe_{len(values)}"), int | float):
        values.append(f"{score:.1f}")
    return " > ".join(values)


def _show_option(console: Console, group: str, name: str) -> None:
    """Print what an option is, what is known about it, and every key that it sets."""
    override = f"{group}=[{name}]" if group == "logger" else f"{group}={name}"
    settings = _settings_of(group, name, override)
    lines = [paragraph(f"{group}={name}: {description(f'{group}/{name}')}", hanging=2)]
    if group == "env":
        _write(lines)
        console.print(_facts_table(override))
        lines = []
    _write([*lines, *settings_lines(settings)])


def _settings_of(group: str, name: str, override: str) -> list[Setting]:
    """Return the settings below a group; of an experiment, those that it changes."""
    settings = explain_settings("train", [override], schema=TrainConfig)
    if group != "experiment":
        return [item for item in settings if f"{item.key}.".startswith(f"{group}.")]
    parts = files_of("train", [override])
    chosen = [
        Setting(part.group, part.path.partition("/")[2], "")
        for part in parts
        if part.group in ("env", "algo", "network", "budget")
    ]
    files = [conf_file(f"{part.path}.yaml") for part in parts]
    changed = {
        key for file in files if file and "experiment" in file.parts for key in keys_of(file)
    }
    return [*chosen, *(item for item in settings if item.key in changed and not item.is_group)]


def _facts_table(override: str) -> Table:
    """Return what is known of an environment beside its settings."""
    from metarl_cli.commands.parts.env_facts import env_facts  # brings torch

    cfg = compose("bench", [override])
    check(cfg, BenchConfig)
    table = _table("", "what", "value")
    table.add_row("", escape(_summary(cfg.env)))
    for what, value in env_facts(build(cfg.env), cfg.env.tasks).items():
        table.add_row(what, escape(value))
    return table


def _write(lines: Sequence[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")


def _summary(node: DictConfig) -> str:
    """Return the first sentence of the docstring of an environment's objective, or of its own."""
    target = node.get("objective", node)["_target_"]
    text = inspect.getdoc(locate(target, key="env", plugins=plugins_of(node))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    return table
