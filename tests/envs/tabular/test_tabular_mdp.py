import itertools

import numpy as np
import pytest

from metarl_cli.envs.tabular.tabular_mdp import TabularMDP


def mdp(num_envs=1, num_states=10, num_actions=5, horizon=10, reward_std=1.0):
    return TabularMDP(
        num_states=num_states,
        num_actions=num_actions,
        reward_mean=1.0,
        reward_mean_std=1.0,
        reward_std=reward_std,
        horizon=horizon,
    ).batch(num_envs)


def task(rewards, weights):
    return np.concatenate([np.ravel(rewards), np.ravel(weights)]).astype(float)


# Two states, two actions: action 0 stays, action 1 changes the state; only staying in state 1 pays.
STAY_OR_GO = task([[0, 0], [2, 0]], [[[1, 0], [0, 1]], [[0, 1], [1, 0]]])


def test_certain_transitions_and_rewards_are_followed():
    env = mdp(num_states=2, num_actions=2, reward_std=0.0)
    state, _ = env.reset(seed=0, task=STAY_OR_GO)
    seen = [state[0]]
    rewards = []
    for action in (0, 1, 0, 0, 1):
        state, reward, *_ = env.step(np.array([action]))
        seen.append(state[0])
        rewards.append(reward[0])
    assert seen == [0, 0, 1, 1, 1, 0]
    assert rewards == [0, 0, 2, 2, 0]  # of the state that is left


def test_rewards_are_normal_around_their_mean():
    env = mdp(num_envs=4000, num_states=1, num_actions=2)
    env.reset(seed=0, task=task([3, -1], [1, 1]))
    for action, mean in ((0, 3), (1, -1)):
        _, reward, *_ = env.step(np.full(4000, action))
        assert reward.mean() == pytest.approx(mean, abs=0.06)
        assert reward.std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("weights", "chances"),
    [([0.2, 0.0, 0.8], [0.2, 0, 0.8]), ([1, 2, 1], [0.25, 0.5, 0.25]), ([0, 0, 0], [1 / 3] * 3)],
)
def test_next_states_come_in_proportion_to_the_weights(weights, chances):
    env = mdp(num_envs=6000, num_states=3, num_actions=1)
    env.reset(seed=0, task=task([0, 0, 0], [weights] * 3))
    state, *_ = env.step(np.zeros(6000, int))
    np.testing.assert_allclose(np.bincount(state, minlength=3) / 6000, chances, atol=0.025)
    assert set(np.flatnonzero(chances)) >= set(state)


def test_tasks_are_drawn_from_the_papers_distribution():
    env = mdp()
    tasks = env.family.sample_tasks(500, np.random.default_rng(0))
    rewards, chances = tasks[:, :50], tasks[:, 50:].reshape(-1, 10)
    assert rewards.mean() == pytest.approx(1.0, abs=0.02)
    assert rewards.std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    # Dirichlet(1, ..., 1) of 10: mean 1/10, variance 9 / (100 * 11), neighbours -1 / (100 * 11)
    np.testing.assert_allclose(chances.mean(axis=0), 0.1, atol=0.003)
    covariance = np.cov(chances.T)
    np.testing.assert_allclose(np.diag(covariance), 9 / 1100, rtol=0.05)
    np.testing.assert_allclose(np.diag(covariance, 1), -1 / 1100, rtol=0.3)


def test_names_of_the_task_follow_its_order():
    env = mdp(num_states=2, num_actions=2)
    names = dict(zip(env.family.task_names, STAY_OR_GO, strict=True))
    assert names["reward_1_0"] == 2
    assert (names["weight_0_1_0"], names["weight_0_1_1"]) == (0, 1)


def test_optimal_value_checked_by_hand():
    env = mdp(num_states=2, num_actions=2, horizon=4)
    assert env.family.optimal_value(STAY_OR_GO[None]).tolist() == [
        6.0
    ]  # one step there, three of 2
    nowhere = task([[0, 0], [2, 0]], np.zeros(8))  # half of the time in state 1, whatever one does
    assert env.family.optimal_value(nowhere[None])[0] == pytest.approx(3.0)


def test_optimal_value_is_the_best_of_all_plans_by_state_and_step():
    env = mdp(num_states=2, num_actions=2, horizon=2)
    tasks = env.family.sample_tasks(3, np.random.default_rng(0))
    for params, value in zip(tasks, env.family.optimal_value(tasks), strict=True):
        rewards, chances = params[:4].reshape(2, 2), params[4:].reshape(2, 2, 2)
        plans = [
            rewards[0, a] + chances[0, a] @ [rewards[0, b], rewards[1, c]]
            for a, b, c in itertools.product(range(2), repeat=3)
        ]
        assert value == pytest.approx(max(plans))


def test_optimal_policy_earns_the_optimal_value():
    env = mdp(num_envs=4000, horizon=2)
    env.reset(seed=0)
    rewards, chances = np.split(env.tasks, [50], axis=1)
    rewards, chances = rewards.reshape(-1, 10, 5), chances.reshape(-1, 10, 5, 10)
    plan = rewards[:, 0] + np.einsum("nat,nt->na", chances[:, 0], rewards.max(axis=2))
    state, first, *_ = env.step(plan.argmax(axis=1))
    _, second, *_ = env.step(rewards[np.arange(4000), state].argmax(axis=1))
    expected = env.family.optimal_value(env.tasks)
    assert (first + second).mean() == pytest.approx(expected.mean(), abs=0.1)


def test_random_actions_earn_the_anchor():
    env = mdp(num_envs=4000)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    total = sum(env.step(rng.integers(5, size=4000))[1].mean() for _ in range(10))
    assert env.family.anchors() == {"random": (10.0,)}
    assert total == pytest.approx(10.0, abs=0.2)


def test_knowing_the_mdp_is_worth_twice_what_random_actions_earn():
    tasks = mdp().family.sample_tasks(500, np.random.default_rng(0))
    assert mdp().family.optimal_value(tasks).mean() == pytest.approx(21.9, abs=0.3)


def test_arguments_out_of_range_are_named():
    with pytest.raises(ValueError, match="reward_std: got -1, expected a number >= 0"):
        mdp(reward_std=-1)
