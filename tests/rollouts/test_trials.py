"""Whole trials, as algorithms that adapt while they act let them be run."""

from dataclasses import replace

import torch
from helpers import Scripted, tiny_sampler

from metarl_cli.core.protocols import mean_returns


def run_trials(sampler, episodes, **changes):
    agent = Scripted()
    start = replace(sampler.begin(agent, sampler.sample_tasks()), **changes)
    return sampler.run(agent, start, episodes=episodes)[0]


def test_episodes_of_a_trial_follow_each_other_without_adaptation_between():
    sampler = tiny_sampler(horizon=3)
    trials = run_trials(sampler, episodes=2)
    assert trials.step.first[:, 0].tolist() == [1, 0, 0, 1, 0, 0]
    assert trials.extras["age"][:, 0].tolist() == [0, 1, 2, 3, 4, 5]  # adapting would add 100
    assert trials.step.prev_reward[3].equal(trials.reward[2])
    assert sampler.env_steps == 6 * 6


def test_a_trial_is_one_batch_of_training_tasks():
    sampler = tiny_sampler()
    trials = run_trials(sampler, episodes=3)
    assert sampler.batches_drawn == 1
    assert trials.step.task.eq(trials.step.task[0]).all()
    assert not torch.isin(trials.step.task[0], sampler.split.fixed("test").params.float()).any()


def test_returns_are_means_over_environments_by_episode():
    trials = run_trials(tiny_sampler(horizon=2), episodes=2)
    metrics = mean_returns(trials)
    for k in range(2):
        mean = trials.reward[2 * k : 2 * k + 2].sum() / 6
        assert abs(metrics[f"train/return_{k}"] - float(mean)) < 1e-6
    assert metrics.keys() == {"train/return_0", "train/return_1"}


def test_a_trial_is_taken_apart_where_its_episodes_begin():
    trials = run_trials(tiny_sampler(horizon=3, ends=[1, 9, 9, 2, 9, 9]), episodes=2)
    first, second = trials.episodes()
    assert first.extras["age"][:, 0].tolist() == [0, 1, 2]
    assert second.extras["age"][:, 0].tolist() == [3, 4, 5]
    assert torch.cat([first.reward, second.reward]).equal(trials.reward)
    (only,) = first.episodes()
    assert only.reward.equal(first.reward)


def test_episodes_that_all_environments_leave_early_are_told_apart_too():
    trials = run_trials(tiny_sampler(horizon=4, ends=[1, 1, 2, 2, 1, 1]), episodes=2)
    assert [len(episode.reward) for episode in trials.episodes()] == [2, 2]


def test_a_given_state_replaces_the_initial_one():
    trials = run_trials(tiny_sampler(), episodes=1, state=7)
    assert trials.extras["age"][:, 0].tolist() == [7, 8, 9, 10]
