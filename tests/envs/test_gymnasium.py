"""What gymnasium asks of every environment of `conf/env`: ids, single and vector environments."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeObservation

from metarl_cli.config.make import make_env, make_vector_env
from metarl_cli.core.paths import conf_dir
from metarl_cli.gym import env_id, register_envs

NAMES = sorted(path.stem for path in (conf_dir() / "env").glob("*.yaml"))
B = 3
every_env = pytest.mark.parametrize("name", NAMES)


def actions_for(env, num_steps):
    env.single_action_space.seed(0)
    sampled = [env.single_action_space.sample() for _ in range(num_steps * env.num_envs)]
    return np.stack(sampled).reshape(num_steps, env.num_envs, *env.single_action_space.shape)


def assert_same(ours, theirs):
    """Compare trees of arrays, types included."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, tuple):
        for left, right in zip(ours, theirs, strict=True):
            assert_same(left, right)
    elif isinstance(theirs, np.ndarray) and theirs.dtype.hasobject:
        for left, right in zip(ours, theirs, strict=True):
            assert left is None if right is None else assert_same(left, right) is None
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@every_env
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_autoreset_is_that_of_gymnasium(name, mode):
    ours = make_vector_env(name=name, num_envs=B, horizon=4, autoreset_mode=mode)
    single = [lambda: make_env(name=name, horizon=4)] * B
    theirs = SyncVectorEnv(single, autoreset_mode=mode)
    assert ours.metadata == theirs.metadata
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert_same(ours.reset(seed=5), theirs.reset(seed=5))
    num_ended = 0
    for action in actions_for(ours, 13):
        stepped = ours.step(action)
        assert_same(stepped, theirs.step(action))
        num_ended += int((stepped[2] | stepped[3]).sum())
    assert num_ended >= 2 * B
    mask = np.array([True, False, True])
    again = [env.reset(seed=9, options={"reset_mask": mask.copy()}) for env in (ours, theirs)]
    assert_same(*again)
    for action in actions_for(ours, 3):
        assert_same(ours.step(action), theirs.step(action))


@every_env
def test_without_autoreset_rows_wait_for_their_reset(name):
    env = gymnasium.make_vec(env_id(name), num_envs=20, horizon=4, autoreset_mode="Disabled")
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    env.reset(seed=0, options={"task": env.unwrapped.family.task_space.high})
    steps = [env.step(action) for action in actions_for(env, 6)]
    ended = np.stack([terminated | truncated for _, _, terminated, truncated, _ in steps])
    assert (ended.sum(axis=0) == 1).all() and not ended[4:].any()
    assert all((step[1] == 0).all() for step in steps[4:])
    mask = np.arange(20) < 5
    env.reset(options={"reset_mask": mask})
    *_, terminated, truncated, _ = env.step(actions_for(env, 1)[0])
    for _ in range(3):
        *_, more, cut, _ = env.step(actions_for(env, 1)[0])
        terminated, truncated = terminated | more, truncated | cut
    np.testing.assert_array_equal(terminated | truncated, mask)


def test_autoreset_at_the_next_step_is_the_default_and_others_are_named_to_make_vec():
    assert gymnasium.make_vec("metarl/PointNav-v0", num_envs=2).metadata["autoreset_mode"] is (
        AutoresetMode.NEXT_STEP
    )
    for mode in AutoresetMode:
        for named in (mode, mode.value):
            env = gymnasium.make_vec("metarl/PointNav-v0", num_envs=2, autoreset_mode=named)
            assert env.metadata["autoreset_mode"] is mode
    with pytest.raises(ValueError, match="autoreset_mode: got 'Never', expected one of"):
        make_vector_env(name="point_nav", num_envs=2, autoreset_mode="Never")


def test_gymnasiums_wrapper_normalizes_observations():
    env = NormalizeObservation(gymnasium.make_vec("metarl/Nav2d-v0", num_envs=16))
    env.reset(seed=0)
    seen = np.stack([env.step(action)[0] for action in actions_for(env, 200)])
    assert np.abs(seen[100:].mean()) < 0.5 and 0.5 < seen[100:].std() < 2


@every_env
def test_observations_lie_in_the_space(name):
    env = make_vector_env(name=name, num_envs=B)
    assert env.reset(seed=0)[0] in env.observation_space
    assert env.step(actions_for(env, 1)[0])[0] in env.observation_space


@every_env
def test_pictures_are_drawn_only_if_asked_for(name, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")  # plain pictures are quick
    env = make_vector_env(name=name, num_envs=B, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert len(frames) == B
    np.testing.assert_array_equal(frames[1], env.batch.draw(1))
    assert make_vector_env(name=name, num_envs=B).render() is None
    single = make_env(name=name, render_mode="rgb_array")
    single.reset(seed=0)
    np.testing.assert_array_equal(single.render(), frames[0])
    single.close(), env.close()


@every_env
def test_wrong_input_is_one_clear_line(name):
    env = make_vector_env(name=name, num_envs=B)
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
        "render_mode: got 'human'": lambda: make_env(name=name, render_mode="human"),
        "render_mode: got 'ansi'": lambda: make_vector_env(
            name=name, num_envs=B, render_mode="ansi"
        ),
    }
    if env.family.all_tasks is not None:
        too_large = {"task": env.family.task_space.high + 1}
        wrong[f"task: got {env.family.task_names[0]} ="] = lambda: env.reset(options=too_large)
    for message, call in wrong.items():
        with pytest.raises(Exception) as error:
            call()
        assert message in str(error.value) and "\n" not in str(error.value)


@every_env
def test_gymnasium_checker_has_no_complaint(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id(name))
        check_env(env.unwrapped)
        env.close()


def test_settings_are_dotted_keys():
    env = gymnasium.make("metarl/CheetahVel-v0", **{"objective.velocity_range": [0, 3]})
    assert env.unwrapped.sample_tasks(100, np.random.default_rng(0)).max() > 2.5


def run(code, *arguments):
    done = subprocess.run([sys.executable, *arguments, code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_registering_is_cheap():
    code = "import sys, metarl_cli.gym; print({'mujoco', 'hydra', 'torch'} & set(sys.modules))"
    assert run(code, "-c") == "set()"


def test_an_id_may_name_the_module_that_registers_it():
    code = "import gymnasium; print(gymnasium.make('metarl_cli.gym:metarl/Nav2d-v0').spec.id)"
    assert run(code, "-c") == "metarl/Nav2d-v0"


def test_other_folders_add_ids_and_leave_those_that_there_are(tmp_path):
    (tmp_path / "my_world.yaml").write_text("_target_: my_package.MyWorld\n")
    (tmp_path / "nav2d.yaml").write_text("_target_: my_package.Nav\n")
    before = dict(gymnasium.registry)
    try:
        register_envs([tmp_path])
        assert set(gymnasium.registry) - set(before) == {"metarl/MyWorld-v0"}
        assert gymnasium.registry["metarl/Nav2d-v0"] is before["metarl/Nav2d-v0"]
    finally:
        gymnasium.registry.pop("metarl/MyWorld-v0", None)


def test_environments_can_be_made_while_a_hydra_program_runs(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import gymnasium, hydra, metarl_cli.gym\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "@hydra.main(version_base='1.3', config_path=None)\n"
        "def main(cfg):\n"
        "    gymnasium.make_vec('metarl/PointNav-v0', num_envs=2).reset(seed=0)\n"
        "    print(GlobalHydra.instance().is_initialized())\n"
        "main()\n"
    )
    assert run(f"hydra.run.dir={tmp_path}", str(program)) == "True"
