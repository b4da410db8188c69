import torch
from helpers import Scripted, tiny_sampler

from metarl_cli.rollouts.trials import run_training_trials


def test_episodes_of_a_trial_follow_each_other_without_adaptation_between():
    sampler = tiny_sampler(horizon=3)
    trials, _ = run_training_trials(Scripted(), sampler, episodes=2)
    assert trials.step.first[:, 0].tolist() == [1, 0, 0, 1, 0, 0]
    assert trials.extras["age"][:, 0].tolist() == [0, 1, 2, 3, 4, 5]  # adapting would add 100
    assert trials.step.prev_reward[3].equal(trials.reward[2])
    assert sampler.env_steps == 6 * 6


def test_a_trial_is_one_batch_of_training_tasks():
    sampler = tiny_sampler()
    trials, _ = run_training_trials(Scripted(), sampler, episodes=3)
    assert sampler.batches_drawn == 1
    assert trials.step.task.eq(trials.step.task[0]).all()
    assert not torch.isin(trials.step.task[0], sampler.split.fixed("test").params.float()).any()


def test_returns_are_means_over_environments_by_episode():
    sampler = tiny_sampler(horizon=2)
    trials, metrics = run_training_trials(Scripted(), sampler, episodes=2)
    for k in range(2):
        mean = trials.reward[2 * k : 2 * k + 2].sum() / 6
        assert abs(metrics[f"train/return_{k}"] - float(mean)) < 1e-6
    assert metrics.keys() == {"train/return_0", "train/return_1"}


def test_a_given_state_replaces_the_initial_one():
    trials, _ = run_training_trials(Scripted(), tiny_sampler(), episodes=1, state=7)
    assert trials.extras["age"][:, 0].tolist() == [7, 8, 9, 10]
