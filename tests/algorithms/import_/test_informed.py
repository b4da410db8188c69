import functools

import torch
from helpers import Scripted, tiny_sampler
from torch.testing import assert_close

from metarl_cli.algorithms.import_.actor_critic import InformedActorCritic
from metarl_cli.core import tree
from metarl_cli.networks.memory import GRU

TOLD = torch.tensor([1.0, 0, 1, 0, 1, 0])
INFORMED, HISTORY = TOLD > 0, TOLD == 0


def recorded(distance_weight=0.5):
    """A model and the steps of two inner episodes, `[8, 6]`."""
    sampler = tiny_sampler(action="discrete", ends=[9, 9, 9, 2, 3, 9])
    agent = Scripted(discrete=True)
    trials, _ = sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()), episodes=2)
    torch.manual_seed(0)
    model = InformedActorCritic(
        sampler.spec,
        functools.partial(GRU, 5, 8),
        latent_dim=3,
        distance_weight=distance_weight,
        policy_hidden=[8],
        initial_std=1.0,
    )
    return model, trials.step


def evaluated(model, step, told=TOLD):
    """Log-probabilities and values `[T, B, ...]` of whole trials, and the auxiliary loss."""
    features = model.features(step, told)
    arranged = tree.tree_map(lambda x: x.transpose(0, 1).unsqueeze(0), (features, step.active))
    distribution, value, penalty = model.evaluate(*arranged)
    return distribution.log_probs[0].transpose(0, 1), value[0].transpose(0, 1), penalty


def by_steps(model, step):
    state, log_probs = model.memory.initial_state(6), []
    for t in range(len(step.active)):
        distribution, state = model.step(tree.index(step, t), state, TOLD)
        log_probs.append(distribution.log_probs)
    return torch.stack(log_probs)


def test_step_form_and_whole_trials_give_the_same_distributions():
    model, step = recorded()
    model.inputs.take_in(model.encoder(step), step.active)
    mask = step.active.bool()
    assert_close(evaluated(model, step)[0][mask], by_steps(model, step)[mask])


def test_only_informed_trials_depend_on_the_task():
    model, step = recorded()
    before = evaluated(model, step)
    step.task = step.task + 0.5
    after = evaluated(model, step)
    for ours, theirs in zip(after[:2], before[:2], strict=True):
        assert ours[:, HISTORY].equal(theirs[:, HISTORY])
        assert (ours - theirs)[:, INFORMED].abs().min() > 1e-6


def test_only_history_trials_depend_on_the_past():
    model, step = recorded()
    present, empty = tree.index(step, 1), model.memory.initial_state(6)
    of_one = model.step(present, empty, TOLD)[0].log_probs
    of_other = model.step(present, empty + 1, TOLD)[0].log_probs
    assert of_one[INFORMED].equal(of_other[INFORMED])
    assert (of_one - of_other)[HISTORY].abs().min() > 1e-6


def test_informed_trials_remember_too():
    model, step = recorded()
    state = model.step(tree.index(step, 0), model.memory.initial_state(6), TOLD)[1]
    assert state.abs().amax(-1).gt(0).all()


def test_auxiliary_loss_is_the_mean_squared_distance_of_the_two_bounded_latents_while_active():
    model, step = recorded(distance_weight=0.5)
    for layer in (model.of_history, model.of_task[1]):
        torch.nn.init.zeros_(layer.weight)
    model.of_history.bias.data = torch.atanh(torch.tensor([0.5, 0.0, -0.5]))
    model.of_task[1].bias.data = torch.atanh(torch.tensor([0.0, 0.0, 0.5]))
    assert_close(evaluated(model, step)[2].item(), 0.5 * (0.25 + 1))
    model, step = recorded()
    before = evaluated(model, step)[2]
    step.prev_reward[2:4, 3] += 100.0  # after the end of an inner episode
    assert_close(evaluated(model, step)[2], before)


def test_auxiliary_loss_teaches_the_history_and_leaves_task_and_heads_alone():
    model, step = recorded()
    evaluated(model, step)[2].backward()
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {"memory", "of_history"}
    assert all(p.grad.abs().sum() > 0 for p in model.of_history.parameters())


def test_policy_of_history_trials_trains_the_heads_that_informed_trials_share():
    model, step = recorded()
    for told, silent in ((torch.zeros(6), "of_task"), (torch.ones(6), "of_history")):
        model.zero_grad()
        evaluated(model, step, told)[0][..., 0].sum().backward()
        moved = {
            name.split(".")[0]
            for name, p in model.named_parameters()
            if p.grad is not None and p.grad.abs().sum() > 0
        }
        assert {"torso", "head"} <= moved and silent not in moved
