import functools
from dataclasses import replace

import pytest
import torch
from helpers import tiny_sampler
from torch.testing import assert_close

from metarl_cli.algorithms.dream.dream import DREAM, Bottleneck
from metarl_cli.buffers.sequences import as_sequence, episodes_of
from metarl_cli.learners.q_learning import QLearning
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.recipe import Recipe
from metarl_cli.runtime.evaluator import meta_test

Q_LEARNING = QLearning(
    learning_rate=3e-3,
    max_grad_norm=10.0,
    batch=8,
    updates=2,
    buffer_trials=32,
    min_trials=8,
    discount=0.9,
    td_lambda=0.0,
    target_rate=0.1,
    final_epsilon=0.5,
    epsilon_steps=100,
    repeat=1.0,
)
BOTTLENECK = Bottleneck(latent_dim=3, noise_std=0.0, norm_weight=0.5, most_norm=4.0, step_cost=0.1)


def dream(*, episodes=2, save_buffer=True, q_learning=Q_LEARNING, **env):
    torch.manual_seed(0)
    sampler = tiny_sampler(action="discrete", **env)
    algorithm = DREAM(
        num_tasks=3,
        envs_per_task=2,
        episodes=episodes,
        save_buffer=save_buffer,
        q_hidden=[8],
        task_hidden=[8],
        vision_precision="float32",
        bottleneck=BOTTLENECK,
        q_learning=q_learning,
        spec=sampler.spec,
        network=Recipe(functools.partial(GRU, 5, 8)),
    )
    return algorithm, sampler


def explored(algorithm, sampler, informed=()):
    """The exploration episode and the trial after it."""
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    trial.state.informed[list(informed)] = 1.0
    episode, trial = sampler.run(algorithm, trial)
    return episode, trial.adapt(algorithm, episode)


def test_one_exploration_episode_is_followed_by_exploitation():
    algorithm, sampler = dream()
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    phases, latents = [], []
    for _ in range(3):
        phases.append(trial.state.exploring)
        latents.append(trial.state.latent)
        episode, trial = sampler.run(algorithm, trial)
        trial = trial.adapt(algorithm, episode)
        assert trial.state.memory.eq(0).all()
    assert phases == [True, False, False]
    assert latents[0].eq(0).all() and latents[1].ne(0).any() and latents[1].equal(latents[2])


def test_exploitation_is_given_what_the_whole_exploration_is_decoded_to():
    algorithm, sampler = dream(ends=[2, 9, 1, 9, 9, 3])
    episode, trial = explored(algorithm, sampler)
    whole = episodes_of(as_sequence(episode))
    decoded = algorithm.decoder(whole.step)
    for b, steps in enumerate([2, 4, 1, 4, 4, 3]):
        assert_close(trial.state.latent[b], decoded[steps, b])


def test_informed_trials_are_given_the_task_embedding():
    algorithm, sampler = dream()
    episode, trial = explored(algorithm, sampler, informed=[0, 3])
    told = algorithm.task_embedding(episode.step.task[0])
    same = trial.state.latent.isclose(told).all(-1)
    assert same.tolist() == [True, False, False, True, False, False]


def test_penalty_of_the_embedding_ends_at_its_limit():
    norm = torch.tensor([1.0, 3.0, 9.0], requires_grad=True)
    loss = BOTTLENECK.norm_loss(norm)
    loss.backward()
    assert loss == 0.5 * (1 + 3 + 4) / 3
    assert_close(norm.grad, torch.tensor([0.5, 0.5, 0.0]) / 3)


def grad_norms(norm_weight):
    """Of each network's gradient in one update, with some losses switched off."""
    algorithm, sampler = dream(q_learning=replace(Q_LEARNING, min_trials=12, updates=1))
    algorithm.bottleneck = replace(BOTTLENECK, norm_weight=norm_weight)
    algorithm.train_step(sampler)  # six trials: it only collects
    metrics = algorithm.train_step(sampler)
    assert metrics["dream/gradient_steps"] == 1
    return {name: metrics[f"dream/{name}_grad_norm"] for name in algorithm.model}


def test_the_task_embedding_learns_from_exploitation_and_its_penalty_only():
    penalised, free = grad_norms(0.5), grad_norms(0.0)
    assert free["task"] > 0 and penalised["task"] != free["task"]
    del penalised["task"], free["task"]
    assert penalised == free and all(norm > 0 for norm in free.values())


def test_training_collects_before_it_learns_and_counts_every_exploitation_episode():
    algorithm, sampler = dream(episodes=3, q_learning=replace(Q_LEARNING, min_trials=13))
    first = algorithm.train_step(sampler)
    assert algorithm.buffer.num == 12 and "dream/exploit_loss" not in first
    assert {"train/return_0", "train/return_1", "train/return_2"} <= first.keys()
    assert "dream/exploit_loss" in algorithm.train_step(sampler)


def test_random_actions_follow_the_schedule_in_training_and_are_none_in_tests():
    algorithm, sampler = dream()
    assert algorithm.train_step(sampler)["dream/epsilon"] == 1.0
    sampler.env_steps = 50
    assert algorithm.train_step(sampler)["dream/epsilon"] == pytest.approx(0.75)
    assert algorithm.initial_state(3, 2).epsilon == 0.0


def test_a_buffer_that_is_not_saved_is_no_experience_of_a_checkpoint():
    assert "buffer" in dream()[0].experience()
    assert "buffer" not in dream(save_buffer=False)[0].experience()


def test_a_trial_needs_two_episodes():
    with pytest.raises(ValueError, match="episodes: got 1"):
        dream(episodes=1)


@pytest.mark.slow
def test_explores_once_and_then_exploits_what_it_found():
    """The reward is minus the distance of the action (-1, 0, 1) to the task, in four steps."""
    quick = replace(
        Q_LEARNING,
        learning_rate=5e-3,
        batch=32,
        updates=4,
        buffer_trials=512,
        td_lambda=0.8,
        target_rate=0.05,
        final_epsilon=0.1,
        epsilon_steps=2000,
    )
    algorithm, sampler = dream(q_learning=quick, num_tasks=16, num_envs=16)
    algorithm.bottleneck = Bottleneck(3, noise_std=0.1, norm_weight=0, most_norm=10, step_cost=0)
    for _ in range(120):
        algorithm.train_step(sampler)
    held_out = tiny_sampler(action="discrete", num_envs=3)
    result = meta_test(algorithm, held_out, episodes=1, split="test", seed=0)
    tasks = result.tasks.params
    blind, best = -4 * tasks.abs().mean(), -4 * (tasks - tasks.round()).abs().mean()
    assert result.online[1].mean() > (blind + best) / 2
