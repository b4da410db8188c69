"""What is drawn of a trial, and when."""

from __future__ import annotations

import pytest
from helpers import SPLIT, Scripted, TinyFamily

from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime import film
from metarl_cli.runtime.film import film_trial


def filmed(task=0, *, num_envs, episodes=1, most=3, on_step=lambda: None, **settings):
    family = TinyFamily(**settings)
    split, simulation = TaskSplit(family, **SPLIT), family.simulate(num_envs)
    chosen = {"task": task, "episodes": episodes, "most": most, "on_step": on_step}
    return film_trial(Scripted(), simulation, split, seed=0, **chosen)


def shown(episode):
    """The counter of a `TinyFamily` by step, as it is drawn."""
    return {step: int(frame[0, 0, 0]) for step, frame in episode.frames.items()}


def test_start_and_each_step_of_each_episode_are_drawn():
    first, second = filmed(num_envs=1, horizon=3)
    assert shown(first) == shown(second) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_nothing_is_drawn_after_the_filmed_environment_has_ended():
    first, second = filmed(num_envs=2, horizon=4, ends=[2, 9])
    assert shown(first) == shown(second) == {0: 0, 1: 1, 2: 2}


def test_long_episodes_are_drawn_at_every_other_step_and_at_their_end(monkeypatch):
    monkeypatch.setattr(film, "MOST_FRAMES", 2)
    first, _ = filmed(num_envs=1, horizon=4, ends=[3])
    assert shown(first) == {0: 0, 2: 2, 3: 3}


@pytest.mark.parametrize(
    ("episodes", "most", "drawn"),
    [
        (100, 1, [100]),
        (100, 2, [0, 100]),
        (100, 3, [0, 1, 100]),
        (100, 5, [0, 1, 34, 67, 100]),
        (2, 9, [0, 1, 2]),
        (1, 3, [0, 1]),
        (0, 3, [0]),
    ],
)
def test_of_a_long_adaptation_some_episodes_are_drawn_before_after_one_and_after_all_first(
    episodes, most, drawn
):
    trial = filmed(num_envs=1, horizon=2, episodes=episodes, most=most)
    assert [episode.index for episode in trial] == drawn
    assert all(shown(episode) == {0: 0, 1: 1, 2: 2} for episode in trial)


def test_moments_know_the_return_so_far():
    goal = float(TaskSplit(TinyFamily(), **SPLIT).fixed("test").params[0, 0])
    (episode,) = filmed(num_envs=2, horizon=2, episodes=0)
    returns = [episode.moments[t].total_reward for t in range(3)]
    assert returns == pytest.approx([0.0, -abs(goal), -abs(goal) - abs(0.1 - goal)])
    assert returns[-1] == pytest.approx(episode.total_reward)


def test_each_step_of_each_episode_is_told():
    steps = []
    filmed(num_envs=1, horizon=3, episodes=4, most=1, on_step=lambda: steps.append(1))
    assert len(steps) == 3 * 5


def test_return_is_that_of_the_chosen_task_and_the_agent_adapts_between_episodes():
    goal = float(TaskSplit(TinyFamily(), **SPLIT).fixed("test").params[1, 0])
    first, second = filmed(task=1, num_envs=2, horizon=2)
    assert first.total_reward == pytest.approx(-abs(goal) - abs(0.1 - goal))
    assert second.total_reward == pytest.approx(-2 * (1 - goal))  # 10.2 and 10.3, clipped
