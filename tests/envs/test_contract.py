"""What every environment of `conf/env` must do; a new YAML file is tested by being there."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import metarl_cli.envs
from metarl_cli.commands.make import make_env, make_vector_env
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.paths import conf_dir

NAMES = sorted(path.stem for path in (conf_dir() / "env").glob("*.yaml"))
B = 3
every_env = pytest.mark.parametrize("name", NAMES)


def batch(name, num_envs=B, **settings):
    return make_vector_env(name=name, num_envs=num_envs, **settings)


def actions_for(env, num_steps):
    env.single_action_space.seed(0)
    shape = (num_steps, env.num_envs)
    sampled = [env.single_action_space.sample() for _ in range(num_steps * env.num_envs)]
    return np.stack(sampled).reshape(*shape, *env.single_action_space.shape)


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
    spec = env.env_spec
    obs, info = env.reset(seed=0)
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert obs in env.observation_space
    assert isinstance(spec.task, Box) and spec.task.shape == (len(env.task_names),)
    assert env.tasks.shape == (B, len(env.task_names)) and spec.horizon == env.horizon
    assert tuple(info) == env.info_keys
    *_, info = env.step(actions_for(env, 1)[0])
    assert tuple(info) == env.info_keys and "unstable" in info
    assert all(values.shape == (B,) for values in info.values())


@every_env
def test_step_returns_the_documented_types(name):
    env = batch(name)
    env.reset(seed=0)
    obs, reward, terminated, truncated, _ = env.step(actions_for(env, 1)[0])
    assert obs in env.observation_space and reward.dtype == np.float64
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
    env = gymnasium.make_vec(metarl_cli.envs.env_id(name), num_envs=20, horizon=4)
    env.reset(seed=0, options={"task": env.unwrapped.env_spec.task.high})
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
    space = env.env_spec.task
    actions = actions_for(env, min(env.horizon, 50))
    start, _ = env.reset(seed=0, options={"task": space.low})
    low = everything(env, actions)
    again, _ = env.reset(seed=0, options={"task": np.tile(space.high, (64, 1))})
    high = everything(env, actions)
    if not env.start_shows_task:
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
    env.reset(options={"task": drawn})
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
    env.reset(seed=9, options={"reset_mask": mask, "task": env.env_spec.task.high})
    np.testing.assert_array_equal(env.tasks[~mask], tasks[~mask])
    np.testing.assert_array_equal(env.tasks[1], env.env_spec.task.high)
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
    env.reset(seed=0, options={"reset_mask": np.array([False, True, True]), "task": env.tasks})
    first = play(env, actions[:3])
    second = play(env, actions[3:])  # row 0 has ended, rows 1 and 2 go on
    expected = play(whole, actions)
    assert any((part[2] | part[3])[:, 0].any() for part in (before, first))
    np.testing.assert_array_equal(np.concatenate([first[0], second[0]])[:, 1:], expected[0][:, 1:])
    np.testing.assert_array_equal(np.concatenate([first[1], second[1]])[:, 1:], expected[1][:, 1:])
    assert (second[1][:, 0] == 0).all()


@every_env
def test_saved_random_streams_continue(name):
    env, other = batch(name), batch(name)
    env.reset(seed=0)
    other.load_state_dict(env.state_dict())
    assert_same(env.reset()[0], other.reset()[0])
    np.testing.assert_array_equal(env.tasks, other.tasks)


@every_env
def test_sampled_tasks_lie_in_the_task_space(name):
    env = batch(name)
    tasks = env.sample_tasks(50, np.random.default_rng(1))
    again = env.sample_tasks(50, np.random.default_rng(1))
    np.testing.assert_array_equal(tasks, again)
    assert tasks.dtype == np.float64 and all(task in env.env_spec.task for task in tasks)
    if env.all_tasks is not None:
        every = {tuple(task) for task in env.all_tasks}
        assert {tuple(task) for task in tasks} <= every
        assert {tuple(task) for task in ([] if env.test_tasks is None else env.test_tasks)} < every


@every_env
def test_wrong_input_is_one_clear_line(name):
    env = batch(name)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(actions_for(env, 1)[0])
    env.reset(seed=0)
    wrong = {
        "actions: got shape (7,)": lambda: env.step(np.zeros(7)),
        "task: got shape (99,)": lambda: env.reset(options={"task": np.zeros(99)}),
        "expected finite numbers": lambda: env.reset(options={"task": env.tasks * np.nan}),
        "reset_mask: got shape (1,)": lambda: env.reset(options={"reset_mask": np.array([True])}),
        "options: got ['goal']": lambda: env.reset(options={"goal": 1}),
        "seed: got [1]": lambda: env.reset(seed=[1]),
        "seed: got -1": lambda: env.reset(seed=-1),
        "render_mode: got 'human'": lambda: batch(name, render_mode="human"),
    }
    if env.all_tasks is not None:
        too_large = {"task": env.env_spec.task.high + 1}
        wrong[f"task: got {env.task_names[0]} ="] = lambda: env.reset(options=too_large)
    for message, call in wrong.items():
        with pytest.raises(Exception) as error:
            call()
        assert message in str(error.value) and "\n" not in str(error.value)


@every_env
def test_nan_action_is_named(name):
    env = batch(name)
    if not isinstance(env.single_action_space, Box):
        pytest.skip("discrete actions cannot be NaN")
    env.reset(seed=0)
    actions = actions_for(env, 1)[0]
    actions[1, 0] = np.nan
    with pytest.raises(NonFiniteError, match="environment 1"):
        env.step(actions)


@every_env
def test_gymnasium_checker_has_no_complaint(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(metarl_cli.envs.env_id(name))
        check_env(env.unwrapped)
        env.close()


@every_env
def test_pictures_show_the_state(name, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")  # plain pictures are quick
    env = batch(name, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert len(frames) == B
    assert all(f.dtype == np.uint8 and f.ndim == 3 and f.shape[2] == 3 for f in frames)
    assert all(np.ptp(frame) > 50 for frame in frames)
    np.testing.assert_array_equal(frames[1], env.draw(1))
    np.testing.assert_array_equal(env.draw(1), env.draw(1))
    assert batch(name).render() is None


@every_env
def test_anchors_are_returns_per_episode(name):
    env = batch(name)
    for policy, returns in env.anchors().items():
        assert isinstance(policy, str) and isinstance(returns, tuple) and len(returns) >= 1
        assert np.isfinite(returns).all()


def test_settings_are_dotted_keys():
    env = gymnasium.make("metarl/CheetahVel-v0", **{"objective.velocity_range": [0, 3]})
    assert env.unwrapped.sample_tasks(100, np.random.default_rng(0)).max() > 2.5


def test_importing_the_registry_is_cheap():
    code = "import sys, metarl_cli.envs; print({'mujoco', 'hydra', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_environments_can_be_made_while_a_hydra_program_runs(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import gymnasium, hydra, metarl_cli.envs\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "@hydra.main(version_base='1.3', config_path=None)\n"
        "def main(cfg):\n"
        "    gymnasium.make_vec('metarl/PointNav-v0', num_envs=2).reset(seed=0)\n"
        "    print(GlobalHydra.instance().is_initialized())\n"
        "main()\n"
    )
    command = [sys.executable, str(program), f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
