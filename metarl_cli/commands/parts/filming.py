"""Filming an agent in one of its test tasks."""

from __future__ import annotations

from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.commands.parts.env_facts import task_in_words
from metarl_cli.core.errors import UserError
from metarl_cli.runtime.film import DrawnSimulation, FilmedEpisode, film_trial


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
    return episodes, task_in_words(parts.family.task_names, params)
