"""`metarl gallery`: a picture of every environment, one file per family."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from omegaconf import DictConfig

from metarl_cli.commands.parts.env_facts import task_in_words
from metarl_cli.config.compose import compose, options_of
from metarl_cli.config.make import make_family
from metarl_cli.core.errors import writing_into
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.gallery import Picture, gallery_figure

COLUMNS = 4  # pictures per row: so many tasks of each environment,
LARGE_FAMILY = 4  # or one task only, in families with more environments than this


def run(cfg: DictConfig) -> int:
    """Draw all environments, a moment after the start."""
    folder = Path(cfg.to)
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
    families = defaultdict(list)
    for name in options_of("env"):
        families[_family_of(name)].append(name)
    for family, names in families.items():
        each = COLUMNS if len(names) <= LARGE_FAMILY else 1
        pictures = [picture for name in names for picture in _pictures(name, each)]
        path = folder / f"{family}.png"
        gallery_figure(pictures, path, columns=COLUMNS)
        LastingConsole().print(f"{path}: {', '.join(names)}", soft_wrap=True)
    return 0


def _family_of(name: str) -> str:
    """The file of an environment's family."""
    return str(compose(f"env/{name}").env._target_).split(".")[-2]


def _pictures(name: str, num: int) -> list[Picture]:
    family = make_family(name=name)
    batch = family.batch(num)
    batch.reset(seed=0)
    batch.play_a_little()
    tasks = [task_in_words(family.task_names, task) for task in batch.tasks]
    pictures = [Picture(batch.draw(row), f"{name}\n{task}") for row, task in enumerate(tasks)]
    batch.close()
    return pictures
