import functools
from dataclasses import replace

import torch
from helpers import Scripted, run_trials, tiny_sampler
from torch.testing import assert_close

from metarl_cli.algorithms.import_.actor_critic import INFORMED as TOLD_WHOM
from metarl_cli.algorithms.import_.import_ import IMPORT
from metarl_cli.core import tree
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.recipe import Recipe

LEARNER = PPO(
    learning_rate=0.01,
    clip=0.2,
    epochs=1,
    num_minibatches=1,
    discount=0.9,
    gae_lambda=0.95,
    value_coef=0.5,
    entropy_coef=0.0,
    max_grad_norm=1.0,
    learning_rate_decay=1.0,
)
TOLD = torch.tensor([1.0, 0, 1, 0, 1, 0])
INFORMED, HISTORY = TOLD > 0, TOLD == 0


def recorded(distance_weight=0.5):
    """The model of IMPORT and two inner episodes, `[8, 6]`."""
    sampler = tiny_sampler(action="discrete", ends=[9, 9, 9, 2, 3, 9])
    trials = run_trials(Scripted(discrete=True), sampler, episodes=2)
    torch.manual_seed(0)
    algorithm = IMPORT(
        num_tasks=3,
        envs_per_task=2,
        episodes=2,
        informed_share=0.5,
        latent_dim=3,
        distance_weight=distance_weight,
        policy_hidden=[8],
        initial_std=1.0,
        ppo=LEARNER,
        spec=sampler.spec,
        network=Recipe(functools.partial(GRU, 5, 8)),
    )
    return algorithm.model, trials


def evaluated(model, trials, told=TOLD):
    """Log-probabilities and values `[T, B, ...]` of whole trials, and the auxiliary loss."""
    extras, log_probs = {TOLD_WHOM: told.expand_as(trials.reward)}, []
    for number in range(3):
        action = torch.full_like(trials.action, number)
        said = model.evaluate(model.samples(replace(trials, action=action, extras=extras)))
        log_probs.append(model.in_time(said.log_prob, trials.reward))
    value = model.in_time(said.value, trials.reward)
    return torch.stack(log_probs, -1), value, said.auxiliary


def by_steps(model, step):
    state, log_probs = model.memory.initial_state(6), []
    for t in range(len(step.active)):
        distribution, state = model.step(tree.index(step, t), state, TOLD)
        log_probs.append(distribution.log_probs)
    return torch.stack(log_probs)


def test_step_form_and_whole_trials_give_the_same_distributions():
    model, trials = recorded()
    model.update_statistics(model.samples(trials))
    mask = trials.step.active.bool()
    assert_close(evaluated(model, trials)[0][mask], by_steps(model, trials.step)[mask])


def test_only_informed_trials_depend_on_the_task():
    model, trials = recorded()
    before = evaluated(model, trials)
    trials.step.task = trials.step.task + 0.5
    after = evaluated(model, trials)
    for ours, theirs in zip(after[:2], before[:2], strict=True):
        assert ours[:, HISTORY].equal(theirs[:, HISTORY])
        assert (ours - theirs)[:, INFORMED].abs().min() > 1e-6


def test_only_history_trials_depend_on_the_past():
    model, trials = recorded()
    present, empty = tree.index(trials.step, 1), model.memory.initial_state(6)
    of_one = model.step(present, empty, TOLD)[0].log_probs
    of_other = model.step(present, empty + 1, TOLD)[0].log_probs
    assert of_one[INFORMED].equal(of_other[INFORMED])
    assert (of_one - of_other)[HISTORY].abs().min() > 1e-6


def test_informed_trials_remember_too():
    model, trials = recorded()
    state = model.step(tree.index(trials.step, 0), model.memory.initial_state(6), TOLD)[1]
    assert state.abs().amax(-1).gt(0).all()


def test_auxiliary_loss_is_the_mean_squared_distance_of_the_two_bounded_latents_while_active():
    model, trials = recorded(distance_weight=0.5)
    for layer in (model.of_history, model.of_task[1]):
        torch.nn.init.zeros_(layer.weight)
    model.of_history.bias.data = torch.atanh(torch.tensor([0.5, 0.0, -0.5]))
    model.of_task[1].bias.data = torch.atanh(torch.tensor([0.0, 0.0, 0.5]))
    assert_close(evaluated(model, trials)[2].item(), 0.5 * (0.25 + 1))
    model, trials = recorded()
    before = evaluated(model, trials)[2]
    trials.step.prev_reward[2:4, 3] += 100.0  # after the end of an inner episode
    assert_close(evaluated(model, trials)[2], before)


def test_auxiliary_loss_teaches_the_history_and_leaves_task_and_heads_alone():
    model, trials = recorded()
    evaluated(model, trials)[2].backward()
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {"memory", "of_history"}
    assert all(p.grad.abs().sum() > 0 for p in model.of_history.parameters())


def test_policy_of_history_trials_trains_the_heads_that_informed_trials_share():
    model, trials = recorded()
    for told, silent in ((torch.zeros(6), "of_task"), (torch.ones(6), "of_history")):
        model.zero_grad()
        evaluated(model, trials, told)[0][..., 0].sum().backward()
        moved = {
            name.split(".")[0]
            for name, p in model.named_parameters()
            if p.grad is not None and p.grad.abs().sum() > 0
        }
        assert {"torso", "head"} <= moved and silent not in moved
