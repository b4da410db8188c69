"""Finds and reads the runs of a report, and refuses to compare what is no comparison."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from metarl_cli.config.build import build, flatten
from metarl_cli.config.frozen import read_frozen
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import short_settings
from metarl_cli.loggers.notices import tell
from metarl_cli.reports.benchmark.runs import (
    MOST_SETTINGS,
    Anchors,
    MeasuredRun,
    Panel,
    curve_of,
    different_settings,
    panel,
    value_text,
)
from metarl_cli.runtime.evaluation import read_evaluation
from metarl_cli.runtime.find_runs import find_runs
from metarl_cli.runtime.run_record import Identity, RunFiles, RunRecord

PATTERN = "*?["


def panels_of(words: Sequence[str], *, split: bool = False) -> list[Panel]:
    """Read runs and lay them out, a panel for each environment.

    Args:
        words: run folders, files that `metarl eval` wrote, folders of runs, patterns of all these.
        split: give runs of one environment that cannot share a panel several.

    Raises:
        UserError: runs of one environment differ in its settings or their test tasks and no split
            was asked for, or something cannot be read.
    """
    by_env: dict[str, list[MeasuredRun]] = defaultdict(list)
    for run in read_runs(words):
        by_env[run.evaluation.env].append(run)
    panels = []
    for env, runs in by_env.items():
        groups = _comparable(runs, split=split)
        names = _names(env, [group[0] for group in groups])
        panels += [panel(x, group, _anchors(group)) for x, group in zip(names, groups, strict=True)]
    return panels


def read_runs(words: Sequence[str]) -> list[MeasuredRun]:
    """Read the runs that words mean (see `panels_of`), each once; a UserError if there are none."""
    runs = list(_unique(_read(path) for word in words for path in _expanded(word)))
    if not runs:
        raise UserError("none of these runs has an eval.json yet")
    return runs


def difference(one: MeasuredRun, other: MeasuredRun) -> str | None:
    """Say why two runs were not tested on the same tasks; None if they were."""
    settings = [_env_settings(run) for run in (one, other)]
    if settings[0] is not None and settings[1] is not None:
        for key in sorted(settings[0].keys() | settings[1].keys()):
            values = settings[0].get(key), settings[1].get(key)
            if value_text(values[0]) != value_text(values[1]):
                return f"{key} is {values[0]} and {values[1]}"
    same = one.on_same_tasks(other.evaluation)
    return None if same else f"their test tasks of {one.evaluation.env} differ"


def _comparable(runs: Sequence[MeasuredRun], *, split: bool) -> list[list[MeasuredRun]]:
    """Group runs that were tested on the same tasks; without `split` there is one group or none."""
    groups: list[list[MeasuredRun]] = []
    for run in runs:
        home = next((group for group in groups if difference(group[0], run) is None), None)
        if home is not None:
            home.append(run)
        elif groups and not split:
            first = groups[0][0]
            raise UserError(
                f"{first.path} and {run.path} cannot share a panel: {difference(first, run)};"
                " split=true gives them two"
            )
        else:
            groups.append([run])
    return groups


def _names(env: str, firsts: Sequence[MeasuredRun]) -> list[str]:
    """Name the panels of one environment by what tells them apart."""
    if len(firsts) == 1:
        return [env]
    settings = [_env_settings(run) or {} for run in firsts]
    keys = different_settings(settings)[:MOST_SETTINGS]
    words = [short_settings([f"{key}={one.get(key)}" for key in keys]) for one in settings]
    sizes = [run.evaluation.num_tasks for run in firsts]
    if len(set(sizes)) > 1:
        words = [[*one, f"{num} tasks"] for one, num in zip(words, sizes, strict=True)]
    names = [" ".join([env, *one]) for one in words]
    return [name if names.count(name) == 1 else f"{name} #{i}" for i, name in enumerate(names, 1)]


def _env_settings(run: MeasuredRun) -> dict[str, Any] | None:
    """Settings of the environment but its tasks; None if they are not kept there."""
    if run.settings is None:
        return None
    return {
        key: value
        for key, value in run.settings.items()
        if key.startswith("env.") and not key.startswith("env.tasks.")
    }


def _expanded(word: str) -> Iterator[Path]:
    """Yield what a word means; unfinished runs that it does not name itself are passed over."""
    path = Path(word)
    if path.exists() or not any(sign in word for sign in PATTERN):
        yield from _runs_in(path)
        return
    matches = sorted(glob.glob(word, recursive=True))
    if not matches:
        raise UserError(f"no run matches {word}")
    for match in map(Path, matches):
        for found in _runs_in(match) if match.is_dir() else [match]:
            if _is_measured(found):
                yield found


def _runs_in(path: Path) -> Iterator[Path]:
    """Yield a run or a file itself, or the runs below a folder of runs."""
    files = RunFiles(path)
    alone = any(x.exists() for x in (files.config, files.meta, files.evaluation))
    below = [] if alone or not path.is_dir() else find_runs(path)
    if not below:
        yield path
        return
    for run in sorted(below, key=lambda run: run.folder):
        if _is_measured(run.folder):
            yield run.folder


def _is_measured(path: Path) -> bool:
    if not path.is_dir() or RunFiles(path).evaluation.exists():
        return True
    tell(f"{path} is left out: it has no eval.json yet")
    return False


def _unique(runs: Iterable[MeasuredRun]) -> Iterator[MeasuredRun]:
    """Leave out runs that were named twice."""
    seen = set()
    for run in runs:
        if (place := run.path.resolve()) not in seen:
            seen.add(place)
            yield run


def _read(path: Path) -> MeasuredRun:
    """Read the meta-test of a run folder, or a file that `metarl eval` wrote."""
    if not path.is_dir():
        own_name = path.name != RunFiles(path.parent).evaluation.name
        name = path.stem if own_name else path.resolve().parent.name
        facts = read_evaluation(path)
        return MeasuredRun(name=name, path=path, evaluation=facts, identity=Identity())
    run = RunRecord(path)
    films = (run.files.film.with_suffix(".mp4"), run.files.film)
    read = MeasuredRun(
        name=path.resolve().name,
        path=path,
        evaluation=run.evaluation(),
        final=run.final_evaluation(),
        identity=run.identity,
        settings=flatten(read_frozen(run.files.config)),
        curve=curve_of(run.rows()) if run.files.record.exists() else None,
        film=next((film for film in films if film.is_file()), None),
    )
    if read.final is not None and not read.on_same_tasks(read.final):
        raise UserError(f"{run.files.final_evaluation} is no test on the tasks of {path}")
    return read


def _anchors(runs: Sequence[MeasuredRun]) -> Anchors:
    """Ask the environment for exact returns; one that cannot be built here has none."""
    for run in runs:
        if run.settings is not None:
            try:
                return build(_env_node(run)).anchors()
            except UserError:
                return {}
    return {}


def _env_node(run: MeasuredRun) -> DictConfig:
    return read_frozen(RunFiles(run.path).config).env
