import numpy as np
import pytest
import torch
from helpers import SPLIT, TinyFamily

from metarl_cli.core.errors import UserError
from metarl_cli.rollouts.tasks import TaskSplit


class Coins:
    """A family of tasks on a grid of 0.1: draws repeat, unlike those of real numbers."""

    all_tasks = test_tasks = None

    def sample_tasks(self, num, rng):
        return rng.integers(0, 40, (num, 1)) / 10


class Directions:
    all_tasks, test_tasks = np.array([[1.0], [-1.0]]), None

    def sample_tasks(self, num, rng):
        return self.all_tasks[rng.integers(0, 2, num)]


class Ids:
    """Forty tasks of which every fourth is for testing, as its authors have it."""

    all_tasks = np.arange(40.0)[:, None] / 10
    test_tasks = all_tasks[::4]

    def sample_tasks(self, num, rng):
        ids = rng.integers(0, 30, (num, 1))
        return (ids + ids // 3 + 1) / 10  # none that four divides


def split(family=None, **settings):
    return TaskSplit(family or TinyFamily(), **(SPLIT | settings))


def rows(tasks):
    return {tuple(row) for row in tasks.params.tolist()}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("stream", ["test", "validation"])
def test_held_out_tasks_are_fixed_by_the_test_seed_alone(stream):
    first = split().fixed(stream)
    same = split(mode="finite", train_seed=9, num_train=50).fixed(stream)
    other = split(test_seed=2).fixed(stream)
    assert first.params.equal(same.params) and not rows(first) & rows(other)
    assert first.num == 3 and first.index.tolist() == [-1, -1, -1]


def test_held_out_tasks_stay_the_same_after_the_callers_changes():
    fixed = split()
    before = fixed.fixed("test").params.clone()
    fixed.fixed("test").params.zero_()
    fixed.train(5, rng())
    assert fixed.fixed("test").params.equal(before)


def test_a_larger_held_out_set_begins_with_the_smaller_one():
    small, large = split(num_test=3).fixed("test"), split(num_test=30).fixed("test")
    assert large.params[:3].equal(small.params)


@pytest.mark.parametrize("mode", ["fresh", "finite"])
def test_training_never_meets_validation_or_test_tasks(mode):
    tasks = split(Coins(), mode=mode, num_test=8, num_train=60)
    held_out = rows(tasks.fixed("test")) | rows(tasks.fixed("validation"))
    assert len(held_out) > 8
    for seed in range(20):
        assert not rows(tasks.train(50, rng(seed))) & held_out


def test_training_and_testing_differ_even_with_equal_seeds():
    tasks = split(mode="finite", train_seed=1, test_seed=1)
    assert not rows(tasks.train(6, rng())) & rows(tasks.fixed("test"))


def test_fresh_tasks_have_no_index_and_follow_the_generator():
    tasks = split()
    drawn = tasks.train(4, rng(3))
    assert drawn.index.tolist() == [-1] * 4
    assert drawn.params.shape == (4, 1) and drawn.params.dtype == torch.float64
    assert drawn.params.equal(tasks.train(4, rng(3)).params)
    assert not rows(drawn) & rows(tasks.train(4, rng(4)))


def test_finite_tasks_come_from_the_training_set_and_say_which_they_are():
    tasks = split(mode="finite")
    drawn = tasks.train(4, rng())
    assert len(set(drawn.index.tolist())) == 4 and max(drawn.index) < 6
    np.testing.assert_array_equal(drawn.params.numpy(), tasks.training_set[drawn.index])
    assert rows(split(mode="finite").train(6, rng(5))) == rows(tasks.train(6, rng(6)))


def test_a_batch_larger_than_the_training_set_repeats_tasks():
    drawn = split(mode="finite").train(20, rng())
    assert drawn.num == 20 and len(rows(drawn)) <= 6


def test_family_of_two_tasks_shares_them_between_training_and_testing():
    tasks = split(Directions(), num_test=2)
    assert tasks.fixed("test").params.tolist() == [[1], [-1]]
    assert rows(tasks.train(30, rng())) == {(1.0,), (-1.0,)}


@pytest.mark.parametrize("mode", ["fresh", "finite"])
def test_a_published_split_is_kept(mode):
    published = split(Ids(), mode=mode, num_test=4)
    for_testing = {tuple(row) for row in Ids.test_tasks.tolist()}
    tested, validated = rows(published.fixed("test")), rows(published.fixed("validation"))
    trained = rows(published.train(500, rng()))
    assert tested < for_testing and len(tested) == 4
    assert not trained & for_testing and not validated & for_testing
    if mode == "fresh":
        assert len(trained) == 30 and validated <= trained


def test_all_published_test_tasks_are_used_when_asked_for():
    assert len(rows(split(Ids(), num_test=10).fixed("test"))) == 10


def test_validation_may_take_more_tasks_than_there_are_for_testing():
    tasks = split(Ids(), num_test=1, num_validation=30)
    assert len(rows(tasks.fixed("validation"))) == 30 and tasks.fixed("test").num == 1


def test_a_finite_training_set_of_a_finite_family_repeats_no_task():
    tasks = split(Ids(), mode="finite", num_train=30, num_validation=3)
    assert len(rows(tasks.train(30, rng()))) == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_test": 11}, "env.tasks.num_test: got 11, but there are only 10"),
        ({"num_validation": 31}, "env.tasks.num_validation: got 31, but there are only 30"),
        ({"num_train": 31, "mode": "finite"}, "env.tasks.num_train: got 31, but there are only 30"),
    ],
)
def test_more_tasks_than_there_are_is_one_clear_line(settings, message):
    with pytest.raises(UserError, match=message):
        split(Ids(), **settings)


def test_tasks_are_the_same_only_where_training_meets_them():
    assert not split().same_tasks
    assert not split(Coins()).same_tasks
    assert not split(Ids(), num_test=3).same_tasks
    assert split(Directions(), num_test=1, num_validation=2).same_tasks
    few = {"mode": "finite", "num_train": 1, "num_test": 1, "num_validation": 1}
    splits = [split(Directions(), **few, train_seed=seed) for seed in range(8)]
    same = {bool(rows(x.fixed("test")) & {tuple(row) for row in x.training_set}) for x in splits}
    assert same == {True, False}
    for each in splits:
        trained = {tuple(row) for row in each.training_set}
        assert each.same_tasks == bool(rows(each.fixed("test")) & trained)
