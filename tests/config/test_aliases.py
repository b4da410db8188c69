"""Names of other programs lead to a key that the chosen algorithm has."""

from __future__ import annotations

import functools

import pytest

from metarl_cli.config.aliases import NAMES, hint, meant
from metarl_cli.config.compose import compose, known_keys, options_of
from metarl_cli.core.errors import UserError

ALGOS = options_of("algo")
EVERYWHERE = (
    *("lr", "learning_rate", "total_timesteps", "total_steps", "n_envs", "num_envs", "gamma"),
    *("n_steps", "env_id", "env_name", "wandb", "track", "cuda", "device_id", "num_threads"),
    *("eval_freq", "hidden_sizes", "max_episode_steps", "n_eval_episodes", "log_dir"),
)


@functools.cache
def keys_with(algo: str) -> frozenset[str]:
    return frozenset(known_keys("train", (f"algo={algo}",)))


@pytest.mark.parametrize("algo", ALGOS)
def test_common_names_lead_to_keys_of_every_algorithm(algo: str) -> None:
    known = keys_with(algo)
    for name in EVERYWHERE:
        keys = meant(name, known)
        assert set(keys) <= {*known, "hydra.run.dir"}
        assert keys or name == "device_id", name
        assert f" Did you mean {' or '.join(keys)}?" == hint(name, known) or not keys


def test_every_key_of_the_table_is_one_of_some_algorithm() -> None:
    known = frozenset().union(*map(keys_with, ALGOS))
    known |= known_keys("train", ("network=transformer",)) | {"hydra.run.dir"}
    known |= {"name", "checkpoint", "resume"}  # of other commands
    assert {key for keys in NAMES for key in keys} <= known


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["lr=1"], "unknown key lr. Did you mean algo.inner.step_size?"),
        (["algo=rl2", "lr=1"], "unknown key lr. Did you mean algo.ppo.learning_rate?"),
        (["algo=pearl", "gamma=1"], "unknown key gamma. Did you mean algo.sac.discount?"),
        (["algo=dream", "algo.gamma=1"], "Did you mean algo.q_learning.discount?"),
        (["Total-Timesteps=1"], "Did you mean budget.env_steps?"),
        (["env_id=x"], "Did you mean env?"),
        (["n_envs=1"], "Did you mean algo.num_tasks or algo.envs_per_task?"),
        (["n_seeds=3"], "Several seeds are a sweep: -m seed=0,1,2."),
        (["algo=MAML"], "there is no algo=MAML. Did you mean maml?"),
        (["algo=RL2"], "Did you mean rl2?"),
        (["algo=E-MAML"], "Did you mean emaml?"),
        (["env=Cheetah-Vel"], "Did you mean cheetah_vel?"),
        (["SEED=1"], "Did you mean seed?"),
        (
            ["learner=ppo"],
            "learner cannot be chosen here: its options are parts that other configs",
        ),
        (["learner=ppo"], "algo.inner and algo.trpo can be set"),
        (["learner=ppo", "algo=rl2"], "algo.ppo can be set, for instance algo.ppo."),
        (["robot=ant"], "env can be set, for instance env."),
        (["tasks=finite"], "env.tasks can be set, for instance env.tasks.mode"),
    ],
)
def test_unknown_key_is_answered_with_the_right_one(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError) as caught:
        compose("train", overrides)
    assert line in str(caught.value)
