"""What `gymnasium.make` and `gymnasium.make_vec` call for the ids of `metarl_cli.envs`.

gymnasium.make("metarl/CheetahVel-v0", **{"objective.velocity_range": [0, 3]})
"""

from __future__ import annotations

import functools
import json
from typing import Any

from omegaconf import DictConfig

from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.envs.adapters.single import SingleEnv
from metarl_cli.envs.base.vector_env import TaskVectorEnv


def make_env(
    *, name: str, num_threads: int = 1, render_mode: str | None = None, **settings: Any
) -> SingleEnv:
    """Build one environment; `settings` are dotted keys of `conf/env/<name>.yaml`."""
    return SingleEnv(
        make_vector_env(
            name=name, num_envs=1, num_threads=num_threads, render_mode=render_mode, **settings
        )
    )


def make_vector_env(
    *,
    name: str,
    num_envs: int,
    num_threads: int = 0,
    render_mode: str | None = None,
    **settings: Any,
) -> TaskVectorEnv:
    """Build the batch; `settings` are dotted keys of `conf/env/<name>.yaml`."""
    overrides = tuple(f"env.{key}={json.dumps(value)}" for key, value in settings.items())
    node = _settings(name, overrides)
    return build(node, num_envs=num_envs, num_threads=num_threads, render_mode=render_mode)


@functools.lru_cache(maxsize=128)  # composing takes longer than building
def _settings(name: str, overrides: tuple[str, ...]) -> DictConfig:
    return compose(f"env/{name}", overrides).env
