"""Films of an agent in a test task, by the protocol of the meta-test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metarl_cli.commands.gallery import task_in_words as parameters_in_words
from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.core.errors import UserError
from metarl_cli.loggers.gif import write_gif
from metarl_cli.runtime.film import DrawnSimulation, FilmedEpisode, film_trial

EPISODE_PLAYING_TIME_MS = 4000


def require_drawn(parts: Parts) -> None:
    """Raise UserError unless the environment shows itself."""
    simulation = parts.family.simulate(1, device=parts.device, threads=1)
    simulation.close()
    if not isinstance(simulation, DrawnSimulation):
        raise UserError("film: this environment draws no pictures")


def play(parts: Parts, task: int) -> tuple[list[FilmedEpisode], str]:
    """Film a trial in a test task; return it with the task in words."""
    require_drawn(parts)
    simulation = parts.family.simulate(
        parts.test_envs_per_task, device=parts.device, threads=parts.threads
    )
    assert isinstance(simulation, DrawnSimulation)
    episodes = film_trial(
        parts.algorithm,
        simulation,
        parts.split,
        task=task,
        episodes=parts.adaptations,
        seed=parts.test_seed,
    )
    simulation.close()
    params = parts.split.fixed("test").params[task].numpy()
    return episodes, parameters_in_words(parts.family.task_names, params)


def frames_of(episodes: Sequence[FilmedEpisode]) -> np.ndarray:
    """Return all pictures one after the other, uint8 `[T, height, width, 3]`."""
    return np.stack([frame for episode in episodes for frame in episode.frames.values()])


def write_film(path: Path, episodes: Sequence[FilmedEpisode]) -> None:
    """Write all pictures as an animated GIF."""
    frames = frames_of(episodes)
    time_ms = EPISODE_PLAYING_TIME_MS * len(episodes)
    write_gif(path, frames, most_frames=len(frames), playing_time_ms=time_ms)
