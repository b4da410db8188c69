"""`metarl gallery`: a picture of every environment, one file per family."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from metarl_cli.commands.make import make_vector_env
from metarl_cli.config_compose import options_of
from metarl_cli.envs.base import TaskVectorEnv
from metarl_cli.reports.gallery import Strip, gallery_figure

GALLERY = Path("outputs/gallery")
NUM_PICTURES = 4  # tasks shown of each environment
NUM_STEPS = 8  # random actions before the picture is taken
MOST_NUMBERS = 2  # task parameters that fit in a caption


def main(argv: Sequence[str]) -> int:
    """Draw all environments: each in a few tasks, a moment after the start."""
    parser = argparse.ArgumentParser(prog="metarl gallery", description=__doc__)
    parser.add_argument("--to", type=Path, default=GALLERY, help=f"default: {GALLERY}")
    arguments = parser.parse_args(argv)
    arguments.to.mkdir(parents=True, exist_ok=True)
    families = defaultdict(list)
    for name in options_of("env"):
        env = make_vector_env(name=name, num_envs=NUM_PICTURES, render_mode="rgb_array")
        families[type(env).__module__.rpartition(".")[2]].append(_strip(name, env))
        env.close()
    for family, strips in families.items():
        path = arguments.to / f"{family}.png"
        gallery_figure(strips, path)
        Console().print(f"{path}: {', '.join(strip.name for strip in strips)}", soft_wrap=True)
    return 0


def _strip(name: str, env: TaskVectorEnv) -> Strip:
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(NUM_STEPS):
        env.step(env.action_space.sample())
    frames = tuple(env.draw(row) for row in range(NUM_PICTURES))
    return Strip(name, frames, tuple(_caption(env.task_names, task) for task in env.tasks))


def _caption(names: Sequence[str], task: np.ndarray) -> str:
    if len(names) > MOST_NUMBERS:
        return f"{len(names)} task parameters"
    return ", ".join(f"{name} {value:.2g}" for name, value in zip(names, task, strict=True))
