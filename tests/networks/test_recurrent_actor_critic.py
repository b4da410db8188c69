import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from helpers import tiny_sampler
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.core.types import EnvSpec, Output, TimeStep
from metarl_cli.networks.memory import GRU, LSTM
from metarl_cli.networks.recipe import Recipe
from metarl_cli.networks.recurrent_actor_critic import RecurrentActorCritic
from metarl_cli.networks.step_memory import StepMemory
from metarl_cli.networks.transformer import Transformer

ENDS = [2, 9, 1, 9, 9, 3]
NETWORKS = {
    "gru": Recipe(functools.partial(GRU, 5, 8)),
    "lstm": Recipe(functools.partial(LSTM, 5, 8)),
    "transformer": Recipe(functools.partial(Transformer, 8, 2, 1, 5)),
}


class Recording:
    """An agent that notes what it thought at each step."""

    def __init__(self, spec, network):
        torch.manual_seed(0)
        self.model = RecurrentActorCritic(spec, network, initial_std=1.0)

    def initial_state(self, num_tasks, envs_per_task):
        return self.model.memory.initial_state(num_tasks * envs_per_task)

    def act(self, state, step, *, explore):
        distribution, state = self.model.step(step, state)
        noted = {"log_probs": distribution.log_probs}
        if isinstance(state, torch.Tensor):
            noted["memory"] = state
        return Output(distribution.sample(), state, noted)


def recorded(network="gru", episodes=3, obs="vector"):
    sampler = tiny_sampler(obs=obs, action="discrete", ends=ENDS)
    agent = Recording(sampler.spec, NETWORKS[network])
    trial = sampler.begin(agent, sampler.sample_tasks())
    return agent.model, sampler.run(agent, trial, episodes=episodes)[0]


def evaluated(model, trials):
    """Log-probabilities of all actions and value of whole trials, `[T, B, ...]` again."""
    log_probs = []
    for number in range(3):
        action = torch.full_like(trials.action, number)
        said = model.evaluate(model.samples(replace(trials, action=action)))
        log_probs.append(model.in_time(said.log_prob, trials.reward))
    return torch.stack(log_probs, -1), model.in_time(said.value, trials.reward)


def test_a_step_is_observation_previous_action_previous_reward_and_whether_it_is_the_first():
    box, one = Box(-1, 1, (2,), np.float32), torch.ones(1)
    for action, given, expected in (
        (Discrete(3), torch.tensor([2]), [0, 0, 1]),
        (box, torch.tensor([[0.5, -0.5]]), [0.5, -0.5]),
    ):
        memory = StepMemory(EnvSpec(box, action, box, horizon=5), NETWORKS["gru"])
        step = TimeStep(torch.tensor([[0.25, 0.75]]), given, -2 * one, one, one, one)
        assert memory.encode(step).tolist() == [[0.25, 0.75, *expected, -2, 1]]
        assert memory.inputs.out_dim == 4 + len(expected)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("obs", ["vector", "grid", "dict"])
def test_evaluation_of_recorded_trials_reproduces_what_acted(network, obs):
    model, trials = recorded(network, obs=obs)
    log_probs, value = evaluated(model, trials)
    mask = trials.step.active.bool()
    assert len(mask) == 12 and mask.sum(0).tolist() == [6, 12, 3, 12, 12, 9]
    assert_close(log_probs[mask], trials.extras["log_probs"][mask], rtol=1e-4, atol=1e-6)
    assert value.shape == mask.shape


def test_memory_is_not_touched_after_the_end_of_an_episode():
    _, trials = recorded(episodes=1)
    memory = trials.extras["memory"]  # [T, B, hidden]
    for row, end in ((0, 2), (2, 1), (5, 3)):
        assert memory[end - 1 :, row].eq(memory[end - 1, row]).all()
        assert not memory[0, 1].equal(memory[1, 1])


def test_memory_goes_on_from_one_inner_episode_to_the_next():
    model, trials = recorded(episodes=2)
    memory, second = trials.extras["memory"], tree.index(trials.step, 4)
    assert second.first.eq(1).all() and second.active.eq(1).all()
    assert_close(model.step(second, memory[3])[1], memory[4])
    assert not torch.allclose(model.step(second, torch.zeros_like(memory[3]))[1], memory[4])


def test_policy_and_value_in_a_later_episode_depend_on_rewards_of_the_first():
    model, trials = recorded(episodes=2)
    before = evaluated(model, trials)
    trials.step.prev_reward[1] += 1
    after = evaluated(model, trials)
    for ours, theirs in zip(after, before, strict=True):
        changed = (ours - theirs).view(8, 6, -1).abs().amax(-1)
        assert changed[0].eq(0).all() and changed[4, 1] > 1e-6
        assert changed[4, 2] == 0  # this row had ended when the reward came


def test_input_statistics_do_not_change_by_evaluation():
    model, trials = recorded()
    before = tree.clone(model.state_dict())
    evaluated(model, trials)
    assert all(before[name].equal(value) for name, value in model.state_dict().items())


def test_samples_are_whole_trials_and_their_entropy_is_that_of_the_policy():
    model, trials = recorded(episodes=2)
    samples, said = model.samples(trials), model.evaluate(model.samples(trials))
    assert samples.reward.equal(trials.reward.T) and model.flat(samples.reward).shape == (48,)
    entropy, log_probs = model.in_time(said.entropy, trials.reward), evaluated(model, trials)[0]
    assert_close(entropy, -(log_probs.exp() * log_probs).sum(-1))


def test_statistics_of_inputs_are_of_active_steps():
    model, trials = recorded(episodes=1)
    model.update_statistics(model.samples(trials))
    active = trials.step.active > 0
    assert model.memory.inputs.count == active.sum() == 2 + 4 + 1 + 4 + 4 + 3
    assert_close(model.memory.inputs.mean[:2], trials.step.obs[active].mean(0))
