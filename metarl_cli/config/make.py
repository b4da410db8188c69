"""Environments by name: `conf/env/cheetah_vel.yaml` is "cheetah_vel".

make_vector_env(name="cheetah_vel", num_envs=8, **{"objective.velocity_range": [0, 3]})
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from metarl_cli.config.build import build
from metarl_cli.config.compose import compose, options_of
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import suggest
from metarl_cli.envs.adapters.single import SingleEnv
from metarl_cli.envs.adapters.vector import VectorEnv
from metarl_cli.envs.base.batch import NumpyFamily


def make_family(*, name: str, **settings: Any) -> NumpyFamily:
    """Build a family; `settings` are dotted keys of `conf/env/<name>.yaml`."""
    return build(env_settings(name, settings))


def make_env(
    *, name: str, num_threads: int = 1, render_mode: str | None = None, **settings: Any
) -> SingleEnv:
    """Build one environment, as `gymnasium.make` does; `settings` are those of `make_family`."""
    family = make_family(name=name, **settings)
    return SingleEnv(family, threads=num_threads, render_mode=render_mode)


def make_vector_env(
    *,
    name: str,
    num_envs: int,
    num_threads: int = 0,
    render_mode: str | None = None,
    autoreset_mode: str = "NextStep",
    **settings: Any,
) -> VectorEnv:
    """Build many, as `gymnasium.make_vec` does; `settings` are those of `make_family`."""
    return VectorEnv(
        make_family(name=name, **settings),
        num_envs,
        threads=num_threads,
        render_mode=render_mode,
        autoreset_mode=autoreset_mode,
    )


def env_settings(name: str, settings: Mapping[str, Any]) -> DictConfig:
    """Return `conf/env/<name>.yaml` with some of its dotted keys set."""
    if name not in (names := options_of("env")):
        raise UserError(f"there is no environment {name}.{suggest(name, names)}")
    return _compose(name, tuple(f"env.{key}={json.dumps(x)}" for key, x in settings.items()))


@functools.lru_cache(maxsize=128)  # composing takes longer than building
def _compose(name: str, overrides: tuple[str, ...]) -> DictConfig:
    return compose(f"env/{name}", overrides).env
