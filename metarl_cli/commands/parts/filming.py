"""Filming an agent in one of its test tasks."""

from __future__ import annotations

from collections.abc import Callable

from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.commands.parts.env_facts import task_in_words
from metarl_cli.core.errors import UserError
from metarl_cli.runtime.film import (
    COLUMNS,
    DrawnSimulation,
    FilmedEpisode,
    FixedTasks,
    film_trial,
)


def require_drawn(parts: Parts) -> None:
    """Raise UserError unless the environment shows itself."""
    simulation = parts.family.simulate(1, device=parts.device, threads=1)
    simulation.close()
    if not isinstance(simulation, DrawnSimulation):
        raise UserError("film: this environment draws no pictures")


def play(
    parts: Parts,
    task: int,
    *,
    kind: FixedTasks = "test",
    columns: int = COLUMNS,
    on_step: Callable[[], None] = lambda: None,
) -> tuple[list[FilmedEpisode], str]:
    """Film a trial; return it with the task in words.

    Args:
        parts: of the agent.
        task: index of the task.
        kind: which tasks it is one of.
        columns: most episodes to film.
        on_step: called after each step of any episode, `steps_of` times at most.
    """
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
        most=columns,
        kind=kind,
        on_step=on_step,
    )
    simulation.close()
    params = parts.split.fixed(kind).params[task].numpy()
    return episodes, task_in_words(parts.family.task_names, params)


def steps_of(parts: Parts) -> int:
    """Return how many steps a trial has at most."""
    return (parts.adaptations + 1) * parts.family.horizon
