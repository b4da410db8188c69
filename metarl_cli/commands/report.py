"""`metarl report`: several meta-tests in one picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.config.build import flatten
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.adaptation import Line, adaptation_figure
from metarl_cli.runtime.evaluation import Evaluation, read_evaluation
from metarl_cli.runtime.run_record import RunFiles, RunRecord

PICTURE = "adaptation.png"


@dataclass(frozen=True)
class Tested:
    """A meta-test and where it was found."""

    path: Path
    evaluation: Evaluation
    env: dict[str, Any] | None  # settings of the environment but its tasks; None: not kept there

    @property
    def name(self) -> str:
        """What the run's folder is called, or a file that has a name of its own."""
        if self.path.is_dir():
            return self.path.resolve().name
        own_name = self.path.name != RunFiles(self.path.parent).evaluation.name
        return self.path.stem if own_name else self.path.resolve().parent.name


def run(cfg: DictConfig) -> int:
    """Draw the adaptation curves of the runs; those of one environment share a panel."""
    if not cfg.runs:
        raise UserError("runs=[] names no run")
    panels: dict[str, list[Tested]] = defaultdict(list)
    for path in map(Path, cfg.runs):
        tested = _read(path)
        panels[tested.evaluation.env].append(tested)
    for tests in panels.values():
        for other in tests[1:]:
            _require_comparable(tests[0], other)
    path = Path(cfg.to) / PICTURE
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        adaptation_figure({env: _lines(tests) for env, tests in panels.items()}, path)
    LastingConsole().print(f"drawn in {path}", soft_wrap=True, markup=False)
    return 0


def _read(path: Path) -> Tested:
    """Read the meta-test of a run folder, or a file that `metarl eval` wrote."""
    if not path.is_dir():
        return Tested(path, read_evaluation(path), None)
    run = RunRecord(path)
    settings = flatten(load_config(run).env)
    env = {key: value for key, value in settings.items() if not key.startswith("tasks.")}
    return Tested(path, run.evaluation(), env)


def _require_comparable(one: Tested, other: Tested) -> None:
    """Refuse a panel that would mix different tasks under one name."""
    where = f"{one.path} and {other.path} cannot share a panel"
    if one.env is not None and other.env is not None:
        for key in sorted(one.env.keys() | other.env.keys()):
            values = one.env.get(key), other.env.get(key)
            if values[0] != values[1]:
                raise UserError(f"{where}: env.{key} is {values[0]} and {values[1]}")
    tasks = [[task.params for task in tested.evaluation.tasks] for tested in (one, other)]
    if tasks[0] != tasks[1]:
        raise UserError(f"{where}: their test tasks of {one.evaluation.env} differ")


def _lines(tests: Sequence[Tested]) -> list[Line]:
    """Call each by its algorithm, or where two have the same by the name of its run."""
    labels = [tested.evaluation.algo for tested in tests]
    if len(set(labels)) < len(labels):
        labels = [tested.name for tested in tests]
    return [Line(label, tested.evaluation) for label, tested in zip(labels, tests, strict=True)]
