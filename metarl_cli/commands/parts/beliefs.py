"""Pictures of what an agent believes: `metarl eval draw_beliefs=N`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor

from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.protocols import Metrics
from metarl_cli.envs.base.hidden_goal import HiddenGoal, HidesGoal
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.runtime.beliefs import GoalBeliefs, goal_beliefs
from metarl_cli.runtime.evaluation import task_in_words


def require_drawable(parts: Parts, num: int) -> None:
    """Raise a UserError if beliefs in `num` test tasks cannot be drawn."""
    most = parts.cfg.env.tasks.num_test
    if num > most:
        raise UserError(f"draw_beliefs: got {num}, but there are only {most} test tasks")
    if num:
        _hidden_goal(parts)


def _hidden_goal(parts: Parts) -> HiddenGoal:
    family = parts.family
    hidden = family.hidden_goal() if isinstance(family, HidesGoal) else None
    if hidden is None:
        raise UserError(
            "draw_beliefs: only where the place of a goal is hidden"
            " (gridnavi, nav2d, point_semicircle with env.dense=false)"
        )
    return hidden


def beliefs_of(parts: Parts) -> GoalBeliefs:
    """Run one trial in each test task and read the agent's beliefs."""
    return goal_beliefs(parts.algorithm, _hidden_goal(parts), parts.meta_test_trials())


def draw(beliefs: GoalBeliefs, folder: Path, num: int, *, title: str, parts: Parts) -> None:
    """Write `task_<i>.png` of the first `num` tasks, and say how good the beliefs are."""
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        same = parts.split.same_tasks
        for i in range(num):
            named = f"{title}, {task_in_words(i, same=same)}"
            _draw_one(beliefs, i, named, folder / f"task_{i}.png")
    console = LastingConsole()
    console.print(f"Belief: {_verdict(beliefs.agreement())}.")
    console.print(f"{num} pictures of beliefs in {folder}", style="dim", soft_wrap=True)


def _verdict(agreement: Metrics) -> str:
    if "belief_kl" in agreement:
        return f"{agreement['belief_kl']:.3f} nats from the exact one"
    if "belief_error" in agreement:
        return (
            f"what is expected of a goal differs from the exact by {agreement['belief_error']:.3f}"
        )
    return "the agent shows none here, only the exact one is drawn"


def _draw_one(beliefs: GoalBeliefs, task: int, title: str, file: Path) -> None:
    from metarl_cli.reports.belief import TrialPicture, belief_figure  # brings matplotlib

    episodes = int(beliefs.trial.step.first[:, 0].sum())

    def by_episode(x: Tensor) -> np.ndarray:
        return x[:, task].unflatten(0, (episodes, -1)).cpu().numpy()  # [T, N] -> [K + 1, H]

    goal = beliefs.hidden.place(beliefs.trial.step.task[0, task].cpu().numpy())
    x, y = goal.round(2)
    picture = TrialPicture(
        title=f"{title}: goal ({x:g}, {y:g})",
        goal=goal,
        goals=beliefs.hidden.goals,
        cells=beliefs.hidden.cells,
        positions=by_episode(cast(Tensor, beliefs.trial.step.obs)),
        exact=by_episode(beliefs.expected),
        learned=None if beliefs.learned is None else by_episode(beliefs.learned),
    )
    belief_figure(picture, file)
