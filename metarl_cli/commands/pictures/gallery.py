"""`metarl gallery`: a picture of every environment, one file per family."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from metarl_cli.commands.parts.env_facts import task_in_words
from metarl_cli.config.compose import compose, options_of
from metarl_cli.config.make import make_family
from metarl_cli.core.errors import writing_into
from metarl_cli.envs.base.family import TaskFamily
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.gallery import Picture, gallery_figure

COLUMNS = 4  # pictures per row: so many tasks of each environment,
LARGE_FAMILY = 4  # or fewer, in families with more environments than this
FEWER = 2
COLOURS = {  # what they mean, where a family's pictures do not say it
    "locomotion": "green: the hidden velocity, heading or place; blue: the robot's own velocity",
    "block_push": "green: the hidden goal, and a dot on the block that is meant",
    "point": "green: the hidden goal; blue: the point and its way",
    "gridworld": "green: the hidden goal; blue: the agent",
}
_FIRST = 0.4  # of equal parts of [0, 1): no heading straight away from the camera
_GOLDEN = 0.6180339887  # multiples of it spread well over [0, 1) when their integer part is dropped


def run(cfg: DictConfig) -> int:
    """Draw all environments in different tasks, a moment after the start."""
    folder = Path(cfg.to)
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
    families = defaultdict(list)
    for name in options_of("env"):
        families[_family_of(name)].append(name)
    for family, names in families.items():
        each = COLUMNS if len(names) <= LARGE_FAMILY else FEWER
        pictures = [picture for name in names for picture in _pictures(name, each)]
        path = folder / f"{family}.png"
        gallery_figure(pictures, path, columns=COLUMNS, title=COLOURS.get(family))
        LastingConsole().print(f"{path}: {', '.join(names)}", soft_wrap=True)
    return 0


def tasks_apart(family: TaskFamily, most: int) -> np.ndarray:
    """Return at most so many tasks `[num, D]` that are far from each other."""
    if family.all_tasks is not None:
        places = np.linspace(0, len(family.all_tasks) - 1, most).round().astype(int)
        return family.all_tasks[np.unique(places)]
    uniform = np.arange(1, most + 1)[:, None] * _GOLDEN * np.arange(1, len(family.task_names) + 1)
    uniform[:, :1] = (np.arange(most)[:, None] + _FIRST) / most
    return family.tasks_from_uniform(uniform % 1.0)


def _family_of(name: str) -> str:
    """The file of an environment's family."""
    return str(compose(f"env/{name}").env._target_).split(".")[-2]


def _pictures(name: str, most: int) -> list[Picture]:
    family = make_family(name=name)
    tasks = tasks_apart(family, most)
    batch = family.batch(len(tasks))
    batch.reset(seed=0, task=tasks)
    batch.play_a_little()
    words = [task_in_words(family.task_names, task) for task in tasks]
    pictures = [Picture(batch.draw(row), f"{name}\n{task}") for row, task in enumerate(words)]
    batch.close()
    return pictures
