import pytest

from metarl_cli.core.errors import UserError
from metarl_cli.reports.scores.agreement import Change, changes, verdict
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval


def change(then, now, half=3.0, half_now=4.0):
    first = Interval(then, then - half, then + half)
    return Change(0, first, Interval(now, now - half_now, now + half_now))


@pytest.mark.parametrize(
    ("now", "word"), [(5, "inside"), (-5, "inside"), (5.1, "above"), (-6, "below")]
)
def test_two_means_agree_within_the_root_of_their_squared_half_intervals(now, word):
    assert change(0.0, now).word == word  # 3 and 4 make 5


def test_equal_numbers_without_an_interval_agree():
    assert change(2.0, 2.0, 0.0, 0.0).is_inside


def test_row_is_inside_only_if_all_of_it_is():
    assert verdict([change(0, 0), change(0, 1)]) == "inside"
    assert verdict([change(0, 9), change(0, 1)]) == "above"
    assert verdict([change(0, 9), change(0, -9)]) == "above/below"


def evaluation(*means):
    episodes = [EpisodeRow(k, Interval(x, x - 1, x + 1)) for k, x in enumerate(means)]
    facts = {"env": "e", "algo": "a", "checkpoint": "c", "env_steps": 1, "test_seed": 0}
    counts = {"num_tasks": 1, "envs_per_task": 1, "test_env_steps": 1}
    return Evaluation(**facts, **counts, episodes=episodes, tasks=[])


def test_first_second_and_last_episode_are_compared():
    found = changes(evaluation(1, 2, 3, 4), evaluation(5, 6, 7, 8))
    assert [(x.index, x.then.mean, x.now.mean) for x in found] == [(0, 1, 5), (1, 2, 6), (3, 4, 8)]
    assert [x.index for x in changes(evaluation(1), evaluation(2))] == [0]


def test_other_numbers_of_adaptations_are_no_comparison():
    with pytest.raises(UserError, match="1 adaptations then, 0 now"):
        changes(evaluation(1, 2), evaluation(1))
