"""PPO from scratch on each task: side by side, and as each task would learn alone."""

import functools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.testing import assert_close

from metarl_cli.algorithms.multitask_ppo import MultitaskPPO
from metarl_cli.algorithms.scratch_ppo import EachTask, ScratchPPO, clip_each_task
from metarl_cli.core import tree
from metarl_cli.core.types import EnvSpec, TimeStep, Trajectory
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.mlp import MLP
from metarl_cli.networks.recipe import Recipe

ACTIONS = {"continuous": Box(-1, 1, (2,), np.float32), "discrete": Discrete(3)}
LEARNER = PPO(
    learning_rate=0.01,
    clip=0.2,
    epochs=3,
    num_minibatches=2,
    discount=0.9,
    gae_lambda=0.95,
    value_coef=0.5,
    entropy_coef=0.01,
    max_grad_norm=0.5,
    learning_rate_decay=0.5,
)
every_action = pytest.mark.parametrize("kind", ACTIONS)


def built(algorithm, kind, num_tasks, **settings):
    torch.manual_seed(0)
    spec = EnvSpec(Box(-1, 1, (2,), np.float32), ACTIONS[kind], Box(-1, 1, (1,)), horizon=4)
    network = Recipe(functools.partial(MLP, [6], "tanh"))
    settings |= {"envs_per_task": 5, "initial_std": 1.0, "ppo": LEARNER}
    return algorithm(num_tasks=num_tasks, spec=spec, network=network, **settings)


def episode(kind, num_tasks, num=4):
    """Noise `[T, N * E]`; in the first environment of each task the episode ends early.

    Rewards of the second task are 16 times as large.
    """
    generator, shape = torch.Generator().manual_seed(7), (num, num_tasks, 5)

    def normal(*more):
        return torch.randn(*shape, *more, generator=generator, dtype=torch.float64)

    discrete = torch.randint(3, shape, generator=generator)
    action = normal(2) if kind == "continuous" else discrete
    terminated, active, zeros = torch.zeros(3, *shape, dtype=torch.float64).unbind(0)
    terminated[1, :, 0] = 1
    active[:] = 1
    active[2:, :, 0] = 0
    first = torch.zeros_like(zeros)
    first[0] = 1
    step = TimeStep(normal(2), torch.zeros_like(action), zeros, first, active, zeros.unsqueeze(-1))
    scale = torch.arange(1.0, num_tasks + 1).view(1, num_tasks, 1) ** 4
    record = Trajectory(step, action, normal() * active * scale, normal(2), terminated)
    return tree.tree_map(lambda x: x.flatten(1, 2), record)


class Replayed:
    """A sampler in which always the same happens."""

    def __init__(self, record):
        self.record = record

    def sample_tasks(self):
        return None

    def begin(self, agent, tasks):
        return None

    def run(self, agent, trial):
        return self.record, None


def different_learners(algorithm):
    """The initial state of two tasks whose networks are not alike."""
    algorithm.untrained.double()
    state = algorithm.initial_state(2, 5)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter[1] += 0.1 * torch.randn_like(parameter[1])
    return state


def row(model, number):
    return {name: x[number] for name, x in model.state_dict().items()}


@every_action
def test_tasks_learn_side_by_side_as_each_would_alone(kind):
    scratch = built(ScratchPPO, kind, 2)
    state, both = different_learners(scratch), episode(kind, 2)
    alone = [built(MultitaskPPO, kind, 1, observe_task=False) for _ in range(2)]
    for number, one in enumerate(alone):
        one.model.double().load_state_dict(row(state.model, number))
    for _ in range(2):  # the second update is with other statistics and a smaller step
        torch.manual_seed(3)  # the order of minibatches
        state = scratch.adapt(state, both)
        for number, one in enumerate(alone):
            torch.manual_seed(3)
            own = slice(5 * number, 5 * (number + 1))
            one.train_step(Replayed(tree.index(both, (slice(None), own))))
    for number, one in enumerate(alone):
        learned = row(state.model, number)
        for name, value in one.model.state_dict().items():
            assert_close(learned[name], value, msg=lambda text, name=name: f"{name}: {text}")


@every_action
def test_what_happens_in_one_task_does_not_matter_to_another(kind):
    scratch = built(ScratchPPO, kind, 2)
    state, both, other = different_learners(scratch), episode(kind, 2), episode(kind, 2)
    other.reward[:, 5:] *= -100
    other.step.obs[:, 5:] += 3
    learned = []
    for record in (both, other):
        torch.manual_seed(3)
        learned.append(scratch.adapt(state, record).model)
    first, second = learned
    assert all(x.equal(row(second, 0)[name]) for name, x in row(first, 0).items())
    assert not any(
        x[1].equal(y[1]) for x, y in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_the_learning_rate_decays_from_episode_to_episode_of_a_trial():
    scratch = built(ScratchPPO, "discrete", 1)
    scratch.untrained.double()
    state, rates = scratch.initial_state(1, 5), []
    for _ in range(3):
        rates.append(state.step.optimizer.param_groups[0]["lr"])
        state = scratch.adapt(state, episode("discrete", 1))
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_each_task_has_the_samples_of_its_own_environments():
    scratch = built(ScratchPPO, "discrete", 2)
    model = EachTask(scratch.initial_state(2, 5).model, 2)
    record = episode("discrete", 2)
    samples = model.samples(record)
    assert samples.reward.shape == (2, 20)
    assert samples.reward[1].equal(record.reward[:, 5:].flatten())
    assert model.in_time(samples.reward, record.reward).equal(record.reward)


def test_gradient_norm_is_clipped_in_each_task_alone():
    parameters = [torch.zeros(2, 2, requires_grad=True), torch.zeros(2, 1, requires_grad=True)]
    parameters[0].grad = torch.tensor([[3.0, 0.0], [0.3, 0.0]])
    parameters[1].grad = torch.tensor([[4.0], [0.4]])
    norms = clip_each_task(2, parameters, max_norm=1.0)
    assert_close(norms, torch.tensor([5.0, 0.5]))
    assert_close(parameters[0].grad, torch.tensor([[0.6, 0.0], [0.3, 0.0]]))
    assert_close(parameters[1].grad, torch.tensor([[0.8], [0.4]]))


@every_action
def test_to_the_multitask_policy_what_comes_after_an_end_does_not_matter(kind):
    data, other = episode(kind, 1), episode(kind, 1)
    other.next_obs[1, 0] = 100.0  # after termination
    other.action[2:, 0] = 5.0 if kind == "continuous" else 0
    models = []
    for record in (data, other):
        algorithm = built(MultitaskPPO, kind, 1, observe_task=False)
        algorithm.model.double()
        torch.manual_seed(3)
        algorithm.train_step(Replayed(record))
        models.append(algorithm.model)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert ours.equal(theirs)
