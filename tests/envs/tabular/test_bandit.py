import numpy as np
import pytest

from metarl_cli.envs.tabular.bandit import BernoulliBandit, values_of_learning

MANY = 40_000


def bandit(num_envs=1, num_arms=5, horizon=10):
    return BernoulliBandit(num_arms=num_arms, horizon=horizon).batch(num_envs)


def mean_return(env, policy):
    """Mean over the batch of an episode's return; `policy` maps the pulls so far to arms."""
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    rows = np.arange(env.num_envs)
    successes, failures = np.zeros((2, env.num_envs, env.family.task_space.shape[0]))
    for _ in range(env.family.horizon):
        arms = policy(successes, failures, rng)
        _, reward, *_ = env.step(arms)
        successes[rows, arms] += reward
        failures[rows, arms] += 1 - reward
    assert (successes + failures).sum() == env.num_envs * env.family.horizon
    return successes.sum() / env.num_envs


def test_arms_pay_one_or_nothing_with_their_own_probability():
    env = bandit(num_envs=4000, num_arms=3)
    env.reset(seed=0, task=[0.0, 0.3, 1.0])
    rewards = np.stack([env.step(np.full(4000, arm))[1] for arm in (0, 1, 2)])
    assert set(np.unique(rewards)) == {0.0, 1.0}
    assert (rewards[0] == 0).all() and (rewards[2] == 1).all()
    assert rewards[1].mean() == pytest.approx(0.3, abs=0.03)


def test_pulls_of_one_arm_are_independent():
    env = bandit(num_envs=4000, num_arms=1)
    env.reset(seed=0, task=[0.5])
    first, second = (env.step(np.zeros(4000, int))[1] for _ in range(2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_observation_tells_nothing():
    env = bandit(num_envs=50)
    start, _ = env.reset(seed=0)
    seen = [env.step(np.full(50, arm))[0] for arm in range(5)]
    assert not np.stack([start, *seen]).any()


def test_values_of_learning_checked_by_hand():
    # two pulls: after a success (1/2) the same arm again pays 2/3, after a failure a new one 1/2
    assert values_of_learning(2, 2) == pytest.approx({"greedy": 13 / 12, "bayes_optimal": 13 / 12})
    assert values_of_learning(1, 7) == pytest.approx({"greedy": 3.5, "bayes_optimal": 3.5})
    assert values_of_learning(3, 1) == pytest.approx({"greedy": 0.5, "bayes_optimal": 0.5})
    assert values_of_learning(5, 100) == {}


def test_bayes_optimal_value_equals_plain_recursion_over_ordered_counts():
    def best(counts, pulls):
        if pulls == 0:
            return 0.0
        values = []
        for arm, (won, lost) in enumerate(counts):
            mean = (won + 1) / (won + lost + 2)
            after = [list(counts), list(counts)]
            after[0][arm], after[1][arm] = (won + 1, lost), (won, lost + 1)
            values.append(
                mean * (1 + best(after[0], pulls - 1)) + (1 - mean) * best(after[1], pulls - 1)
            )
        return max(values)

    assert values_of_learning(3, 5)["bayes_optimal"] == pytest.approx(best([(0, 0)] * 3, 5))


def test_anchors_are_ordered_and_known_in_the_literature():
    anchors = {policy: value for policy, (value,) in bandit().family.anchors().items()}
    assert list(anchors) == ["random", "greedy", "bayes_optimal", "oracle"]
    assert anchors == pytest.approx(
        {"random": 5.0, "greedy": 6.626, "bayes_optimal": 6.660, "oracle": 8.333}, abs=1e-3
    )


def test_policies_score_what_their_anchors_say():
    env = bandit(num_envs=MANY)

    def at_random(_successes, _failures, rng):
        return rng.integers(5, size=MANY)

    def oracle(_successes, _failures, _rng):
        return env.tasks.argmax(axis=1)

    def greedy(successes, failures, rng):
        mean = (successes + 1) / (successes + failures + 2)
        return (mean + 1e-6 * rng.random(mean.shape)).argmax(axis=1)

    for policy in (at_random, oracle, greedy):
        name = policy.__name__.removeprefix("at_")
        (expected,) = env.family.anchors()[name]
        assert mean_return(env, policy) == pytest.approx(expected, abs=0.04), name


def test_bayes_optimal_policy_scores_what_its_anchor_says():
    env = bandit(num_envs=MANY, num_arms=2, horizon=3)

    def optimal(successes, failures, _rng):
        """Leave the first arm once it has failed more often than it paid."""
        return (failures[:, 0] > successes[:, 0]).astype(int)

    (expected,) = env.family.anchors()["bayes_optimal"]
    assert mean_return(env, optimal) == pytest.approx(expected, abs=0.03)


def test_arms_that_hardly_ever_pay_can_be_drawn():
    env = bandit(num_arms=4)
    env.reset(seed=0, task=[0.0, 1e-9, 1e-3, 1.0])
    assert np.ptp(env.draw()) > 50


def test_arguments_out_of_range_are_named():
    with pytest.raises(ValueError, match="num_arms: got 0, expected a number > 0"):
        bandit(num_arms=0)
