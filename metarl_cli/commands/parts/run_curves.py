"""The picture of a run's curves: gathered from its folder, drawn when somebody asks for it.

Nothing that draws is imported before that.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from metarl_cli.commands.parts.env_facts import hidden_task
from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.commands.parts.request import served_by
from metarl_cli.config.build import build
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import quoted_for_hydra
from metarl_cli.envs.base.family import TaskFamily
from metarl_cli.runtime.run_record import RunFiles, RunRecord

if TYPE_CHECKING:
    from metarl_cli.reports.curves import RunCurves

MOST_TASK_CHARACTERS = 90
MOST_TASKS_TOLD = 1000


def curves_of(run: RunRecord) -> RunCurves:
    """Gather what the picture shows; of a run that goes on as much as there is.

    Raises:
        UserError: there is no record to draw.
    """
    from metarl_cli.reports.curves import Background, RunCurves

    rows = list(run.rows())
    evaluation = run.evaluation() if run.files.evaluation.is_file() else None
    if not rows and evaluation is None:
        raise UserError(f"{run.folder} has nothing to draw yet")
    family = _family(run)
    background = None
    if family is not None:
        background = Background(
            hidden_task=_in_words(family),
            task_names=family.task_names,
            horizon=family.horizon,
            anchors=family.anchors(),
        )
    dense = bool(_settings(run).get("algo", {}).get("dense_training"))
    return RunCurves(run.identity, rows, evaluation, background, dense)


def draw_curves(run: RunRecord) -> None:
    """Draw `curves.png` of a run, on axes of its own.

    Raises:
        UserError: there is nothing to draw.
        RunError: it cannot be written.
    """
    from metarl_cli.reports.curves import draw_run

    draw_run(curves_of(run), run.files.curves)


def curves_on_request(folder: Path) -> AbstractContextManager[None]:
    """Draw the curves of a run each time that it gets SIGURG within this block."""
    runs = f"runs=[{quoted_for_hydra(folder.absolute())}]"
    command = [sys.executable, "-m", "metarl_cli.cli", "curves", runs]
    return served_by(command, done=f"drawn in {RunFiles(folder).curves}")


def setting_of_tasks(run: RunRecord) -> str:
    """Return a text that runs share whose returns mean the same: all settings of `env` but `tasks`.

    Under the names of this version, whatever version has made the run.
    """
    try:
        env: Any = OmegaConf.to_container(load_config(run).env)
    except UserError:
        env = _settings(run).get("env", {})
    return json.dumps({key: env[key] for key in env if key != "tasks"}, sort_keys=True, default=str)


def _settings(run: RunRecord) -> dict[str, Any]:
    try:
        return run.config()
    except UserError:  # an old or a foreign run: less is known of it
        return {}


def _family(run: RunRecord) -> TaskFamily | None:
    """Build the tasks of a run, if that can be done here: a plug-in may be missing."""
    try:
        family: TaskFamily = build(load_config(run).env)
    except UserError:
        return None
    return family


def _in_words(family: TaskFamily) -> str:
    text = hidden_task(family)
    if len(text) > MOST_TASK_CHARACTERS:
        text = f"{len(family.task_names)} numbers ({family.task_names[0]}, ...)"
    if family.all_tasks is not None and len(family.all_tasks) <= MOST_TASKS_TOLD:
        text += f", {len(family.all_tasks)} in all"
    return text
