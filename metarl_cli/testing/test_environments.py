"""What every environment must do; a new YAML in `conf/env`, or in a plug-in's, is tested too."""

import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

from metarl_cli.config.compose import options_of
from metarl_cli.config.make import make_env, make_family
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.testing.tiny import batch_of

B = 3
every_env = pytest.mark.parametrize("name", options_of("env"))


def batch(name, num_envs=B, **settings):
    return batch_of(name=name, num_envs=num_envs, **settings)


def actions_for(env, num_steps):
    space = env.family.action_space
    space.seed(0)
    sampled = [space.sample() for _ in range(num_steps * env.num_envs)]
    return np.stack(sampled).reshape(num_steps, env.num_envs, *space.shape)


def entries(obs):
    """The arrays of an observation: of a Dict space, one per key."""
    return list(obs.values()) if isinstance(obs, dict) else [obs]


def flat(obs):
    """A batch of observations as one array `[B, F]`."""
    return np.concatenate([x.reshape(len(x), -1) for x in entries(obs)], axis=1)


def play(env, actions):
    """Observations, rewards, terminated, truncated of a whole batch: `[T, B, ...]` each."""
    steps = [env.step(action)[:4] for action in actions]
    obs, *others = zip(*steps, strict=True)
    return [np.stack([flat(x) for x in obs]), *(np.stack(values) for values in others)]


def row_of(obs, row):
    return {key: x[row] for key, x in obs.items()} if isinstance(obs, dict) else obs[row]


def assert_same(ours, theirs):
    for left, right in zip(entries(ours), entries(theirs), strict=True):
        np.testing.assert_array_equal(left, right)


@every_env
def test_spec_and_reset_agree(name):
    env = batch(name)
    family, spec = env.family, env.family.spec
    obs, info = env.reset(seed=0)
    assert obs in batch_space(spec.observation, B)
    assert isinstance(spec.task, Box) and spec.task.shape == (len(family.task_names),)
    assert env.tasks.shape == (B, len(family.task_names)) and spec.horizon == family.horizon
    assert tuple(info) == family.info_keys
    *_, info = env.step(actions_for(env, 1)[0])
    assert tuple(info) == family.info_keys and "unstable" in info
    assert all(values.shape == (B,) for values in info.values())


@every_env
def test_step_returns_the_documented_types(name):
    env = batch(name)
    env.reset(seed=0)
    obs, reward, terminated, truncated, _ = env.step(actions_for(env, 1)[0])
    assert obs in batch_space(env.family.observation_space, B) and reward.dtype == np.float64
    assert terminated.dtype == bool and truncated.dtype == bool


@every_env
def test_same_seed_same_episode(name):
    first, second = batch(name), batch(name)
    actions = actions_for(first, 10)
    assert_same(first.reset(seed=5)[0], second.reset(seed=[5, 6, 7])[0])
    np.testing.assert_array_equal(first.tasks, second.tasks)
    for ours, theirs in zip(play(first, actions), play(second, actions), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@every_env
def test_batch_row_is_the_single_environment_bit_for_bit(name):
    env = batch(name, num_envs=9)
    actions = actions_for(env, 20)
    start, _ = env.reset(seed=11)
    obs, reward, terminated, _ = play(env, actions)
    for row in (0, 8):
        single = make_env(name=name)
        assert_same(single.reset(seed=11 + row)[0], row_of(start, row))
        np.testing.assert_array_equal(single.task, env.tasks[row])
        for step in range(20):
            result = single.step(actions[step, row])
            np.testing.assert_array_equal(
                np.concatenate([x.ravel() for x in entries(result[0])]), obs[step, row]
            )
            assert result[1] == reward[step, row] and result[2] == terminated[step, row]
            if result[2] or result[3]:
                break


@every_env
def test_thread_count_changes_nothing(name):
    one, four = batch(name, num_envs=8, num_threads=1), batch(name, num_envs=8, num_threads=4)
    actions = actions_for(one, 10)
    one.reset(seed=0), four.reset(seed=0)
    for ours, theirs in zip(play(one, actions), play(four, actions), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@every_env
def test_returned_arrays_are_the_callers(name):
    env, untouched = batch(name), batch(name)
    actions = actions_for(env, 4)
    first, _ = env.reset(seed=0)
    kept = flat(first)
    untouched.reset(seed=0)
    env.step(actions[0])
    np.testing.assert_array_equal(flat(first), kept)
    untouched.step(actions[0])
    for x in entries(first):
        x[...] = 77
    for action in actions[1:]:
        obs, reward, *_ = env.step(action)
        expected, expected_reward, *_ = untouched.step(action)
        assert_same(obs, expected)
        np.testing.assert_array_equal(reward, expected_reward)
        for x in (*entries(obs), reward):
            x[...] = 77


@every_env
def test_episode_is_cut_at_the_horizon_and_then_inactive(name):
    env = batch(name, num_envs=20, horizon=4)
    env.reset(seed=0, task=env.family.task_space.high)
    obs, reward, terminated, truncated = play(env, actions_for(env, 6))
    ended = terminated | truncated
    assert (ended.sum(axis=0) == 1).all() and not ended[4:].any()
    assert truncated.any(axis=1).tolist() == [False, False, False, True, False, False]
    after = ended.cumsum(axis=0) - ended > 0
    assert after[4:].all() and (reward[after] == 0).all()
    for step in range(1, 6):
        np.testing.assert_array_equal(obs[step, after[step]], obs[step - 1, after[step]])


@every_env
def test_task_matters(name):
    env = batch(name, num_envs=64)
    space = env.family.task_space
    actions = actions_for(env, min(env.family.horizon, 50))
    start, _ = env.reset(seed=0, task=space.low)
    low = everything(env, actions)
    again, _ = env.reset(seed=0, task=np.tile(space.high, (64, 1)))
    high = everything(env, actions)
    if not env.family.start_shows_task:
        assert_same(start, again)
    assert any((left != right).any() for left, right in zip(low, high, strict=True))


def everything(env, actions):
    """All that an environment returns, info included."""
    steps = [env.step(action) for action in actions]
    infos = [np.stack(list(step[4].values())) for step in steps]
    return [
        *(np.stack([step[i] for step in steps]) for i in (1, 2, 3)),
        np.stack(infos),
        np.stack([flat(step[0]) for step in steps]),
    ]


@every_env
def test_given_task_stays_and_unknown_tasks_are_drawn_anew(name):
    env = batch(name, num_envs=20)
    env.reset(seed=0)
    drawn = env.tasks.copy()
    env.reset()
    assert (env.tasks != drawn).any()
    env.reset(task=drawn)
    env.reset()
    np.testing.assert_array_equal(env.tasks, drawn)


@every_env
def test_reset_mask_leaves_other_rows_alone(name):
    env, undisturbed = batch(name), batch(name)
    actions = actions_for(env, 4)
    env.reset(seed=0), undisturbed.reset(seed=0)
    play(env, actions[:2]), play(undisturbed, actions[:2])
    tasks = env.tasks.copy()
    mask = np.array([False, True, False])
    env.reset(seed=9, mask=mask, task=env.family.task_space.high)
    np.testing.assert_array_equal(env.tasks[~mask], tasks[~mask])
    np.testing.assert_array_equal(env.tasks[1], env.family.task_space.high)
    obs, reward, *_ = play(env, actions[2:])
    expected, expected_reward, *_ = play(undisturbed, actions[2:])
    np.testing.assert_array_equal(obs[:, ~mask], expected[:, ~mask])
    np.testing.assert_array_equal(reward[:, ~mask], expected_reward[:, ~mask])


@every_env
def test_rows_run_on_while_others_have_ended(name):
    env, whole = batch(name, horizon=6), batch(name, horizon=6)
    actions = actions_for(env, 5)
    env.reset(seed=0), whole.reset(seed=0)
    before = play(env, actions[:3])
    env.reset(seed=0, mask=np.array([False, True, True]), task=env.tasks)
    first = play(env, actions[:3])
    second = play(env, actions[3:])  # row 0 has ended, rows 1 and 2 go on
    expected = play(whole, actions)
    assert any((part[2] | part[3])[:, 0].any() for part in (before, first))
    np.testing.assert_array_equal(np.concatenate([first[0], second[0]])[:, 1:], expected[0][:, 1:])
    np.testing.assert_array_equal(np.concatenate([first[1], second[1]])[:, 1:], expected[1][:, 1:])
    assert (second[1][:, 0] == 0).all()


@every_env
def test_sampled_tasks_lie_in_the_task_space(name):
    family = make_family(name=name)
    tasks = family.sample_tasks(50, np.random.default_rng(1))
    again = family.sample_tasks(50, np.random.default_rng(1))
    np.testing.assert_array_equal(tasks, again)
    assert tasks.dtype == np.float64 and all(task in family.task_space for task in tasks)
    if family.all_tasks is not None:
        every = {tuple(task) for task in family.all_tasks}
        assert {tuple(task) for task in tasks} <= every
        held_out = [] if family.test_tasks is None else family.test_tasks
        assert {tuple(task) for task in held_out} < every


@every_env
def test_nan_action_is_named(name):
    env = batch(name)
    if not isinstance(env.family.action_space, Box):
        pytest.skip("discrete actions cannot be NaN")
    env.reset(seed=0)
    actions = actions_for(env, 1)[0]
    actions[1, 0] = np.nan
    with pytest.raises(NonFiniteError, match="environment 1"):
        env.step(actions)


@every_env
def test_pictures_show_the_state(name, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")  # plain pictures are quick
    env = batch(name)
    env.reset(seed=0)
    frames = [env.draw(row) for row in range(B)]
    assert all(f.dtype == np.uint8 and f.ndim == 3 and f.shape[2] == 3 for f in frames)
    assert all(np.ptp(frame) > 50 for frame in frames)
    np.testing.assert_array_equal(frames[1], env.draw(1))
    np.testing.assert_array_equal(env.draw(1), env.draw(1))


@every_env
def test_anchors_are_returns_per_episode(name):
    for policy, returns in make_family(name=name).anchors().items():
        assert isinstance(policy, str) and isinstance(returns, tuple) and len(returns) >= 1
        assert np.isfinite(returns).all()
