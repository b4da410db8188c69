"""Learned beliefs about hidden goals beside the exact one, where goals can be counted."""

from __future__ import annotations

import math

import pytest
import torch

from metarl_cli.core.types import Output
from metarl_cli.envs.grids.gridworld import GridNavigation
from metarl_cli.envs.points.point import PointSemicircle
from metarl_cli.envs.points.semicircle_bayes import SemicircleGoals
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime.beliefs import exact_belief, goal_beliefs, kl
from metarl_cli.runtime.evaluator import meta_test_trials

GOALS = [[0, 2], [1, 2], [2, 0], [2, 1], [2, 2]]
UP, RIGHT = 1, 2


def grid(**settings):
    fixed = {"size": 3, "start": [0, 0], "goals": "away_from_start", "horizon": 2}
    return GridNavigation(goal_reward=1.0, step_reward=0.0, **fixed, **settings)


class Walker:
    """Goes right in the first episode and up in the second; keeps the rewards it is shown."""

    def initial_state(self, num_tasks, envs_per_task):
        return 0

    def act(self, state, step, *, explore):
        action = torch.full(step.first.shape, RIGHT if state < 2 else UP)
        return Output(action, state + 1, {"shown": step.prev_reward})

    def adapt(self, state, episode):
        return state


class Certain(Walker):
    """Knows tasks by their log-probabilities: 1/2 for the first goal, 1/8 for each other one."""

    def task_log_probs(self, trial):
        chances = torch.tensor([0.5, 0.125, 0.125, 0.125, 0.125])
        return chances.log().expand(*trial.reward.shape, 5)


class Foreteller(Walker):
    """Expects of a move the x it comes from, plus 10 times the action, plus 100 times the step."""

    def predicted_reward(self, trial, obs, action, next_obs):
        assert ((next_obs - obs).abs().sum(-1) == 1).all()
        step = torch.arange(len(trial.reward)).view(-1, 1, 1)
        return (obs[:, 0] + 10 * action + 100 * step).expand(-1, trial.reward.shape[1], -1)


@pytest.fixture
def trial():
    return played(Walker())


def played(agent, family=None):
    family = family or grid()
    split = TaskSplit(family, "fresh", num_train=5, train_seed=0, num_test=5, test_seed=0)
    sampler = Sampler(family.simulate(5), split, num_tasks=5, seed=0, record_info=True)
    return meta_test_trials(agent, sampler, episodes=1, seed=0)


def test_belief_before_a_step_knows_of_the_steps_before_it(trial):
    belief = exact_belief(grid().hidden_goal(), trial)
    assert trial.step.task[0].tolist() == GOALS
    quarter = [0.25, 0.25, 0.0, 0.25, 0.25]
    # Goal (2, 2): before the trial, at (1, 0), after (2, 0) was empty, at (0, 1)
    assert belief[:, 4].tolist() == [[0.2] * 5, [0.2] * 5, quarter, quarter]


def test_reward_of_an_episodes_last_step_is_known_at_the_start_of_the_next(trial):
    belief = exact_belief(grid().hidden_goal(), trial)
    found = [0.0, 0.0, 1.0, 0.0, 0.0]  # (2, 0), by the second step
    assert belief[:, 2].tolist() == [[0.2] * 5, [0.2] * 5, found, found]
    # The agent was shown as much: this reward, and no other
    assert trial.extras["shown"][:, 2].tolist() == [0, 0, 1, 0]
    assert trial.step.first[:, 2].tolist() == [1, 0, 1, 0]


def test_divergence_of_the_learned_belief_is_counted_in_nats():
    exact = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    learned = torch.tensor([[0.25, 0.5, 0.25], [1.0, 1e-30, 1e-30]])
    assert kl(exact, learned.log()).tolist() == pytest.approx([0.5 * math.log(2), 0.0])


def test_a_belief_over_tasks_is_compared_as_a_distribution(trial):
    beliefs = goal_beliefs(Certain(), grid().hidden_goal(), trial)
    agreement = beliefs.agreement()
    per_step = kl(beliefs.exact, beliefs.log_probs)
    assert per_step[0, 0].item() == pytest.approx(-math.log(5) + 0.2 * math.log(2 * 8**4))
    assert per_step[3, 2].item() == pytest.approx(math.log(8))  # certain of the third goal
    assert agreement["belief_kl"] == pytest.approx(per_step.mean().item())
    assert (beliefs.learned - beliefs.exact).abs()[0, 0].tolist() == pytest.approx(
        [0.3, 0.075, 0.075, 0.075, 0.075]
    )


def test_a_foretold_reward_is_the_mean_over_moves_to_the_goal(trial):
    beliefs = goal_beliefs(Foreteller(), grid().hidden_goal(), trial)
    # (0, 2): up from (0, 1), left from (1, 2); (1, 2): up from (1, 1), right from (0, 2),
    # left from (2, 2); (2, 0): right from (1, 0), down from (2, 1); actions up 1 .. left 4
    expected = [(10 + 0 + 40 + 1) / 2, (10 + 1 + 20 + 0 + 40 + 2) / 3, (20 + 1 + 30 + 2) / 2]
    assert beliefs.learned[0, 0, :3].tolist() == pytest.approx(expected)
    assert beliefs.learned[2, 3, 0].item() == pytest.approx(expected[0] + 200)
    assert list(beliefs.agreement()) == ["belief_error"]


def test_an_agent_without_a_belief_to_show_is_compared_with_nothing(trial):
    beliefs = goal_beliefs(Walker(), grid().hidden_goal(), trial)
    assert beliefs.learned is None and beliefs.agreement() == {}


class Upright(Walker):
    """Goes up at full speed; expects of a move its action along x, plus 10 times the step."""

    def act(self, state, step, *, explore):
        return Output(torch.tensor([0.0, 1.0]).expand(*step.first.shape, 2), state)

    def predicted_reward(self, trial, obs, action, next_obs):
        step = torch.arange(len(trial.reward)).view(-1, 1, 1)
        return (action[:, 0] + 10 * step).expand(-1, trial.reward.shape[1], -1)


def upright_on_semicircle():
    """Two episodes of one step, to (0, 1), where goals up to 0.9 away pay."""
    settings = {"circle_radius": 1.0, "goal_radius": 0.9, "max_step": 1.0}
    family = PointSemicircle(**settings, dense=False, horizon=1)
    return SemicircleGoals(**settings, num=4), played(Upright(), family)


def test_on_a_semicircle_rewards_that_are_expected_are_compared():
    hidden, trial = upright_on_semicircle()
    beliefs = goal_beliefs(Upright(), hidden, trial)
    angles = trial.step.task[0, :, 0].rad2deg().tolist()
    assert angles == pytest.approx([115, 49, 7, 3, 146], abs=0.7)  # the first two pay
    upper, sides = [0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5]
    assert beliefs.exact[0].tolist() == [[0.25] * 4] * 5
    assert beliefs.exact[1].tolist() == [upper, upper, sides, sides, sides]
    near = 1.0 - 2 * math.sin(math.pi / 8)  # on the cell beside the goal's
    half = (1 + near) / 2
    assert beliefs.expected[1, 0].tolist() == pytest.approx([near / 2, half, half, near / 2])
    learned = torch.tensor([0.0, 10.0]).view(2, 1, 1)  # crossings have opposite actions
    torch.testing.assert_close(beliefs.learned, learned.expand(2, 5, 4).double())
    error = (beliefs.expected - learned).abs().mean().item()
    assert beliefs.agreement() == {"belief_error": pytest.approx(error)}


def test_log_probabilities_are_asked_for_only_where_tasks_are_finitely_many():
    beliefs = goal_beliefs(Certain(), *upright_on_semicircle())
    assert beliefs.learned is None and beliefs.log_probs is None
