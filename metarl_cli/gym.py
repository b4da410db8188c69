"""Importing this module registers each YAML of `conf/env` with gymnasium, plug-ins' too.

`conf/env/cheetah_vel.yaml` becomes `metarl/CheetahVel-v0`:

    import gymnasium, metarl_cli.gym
    gymnasium.make("metarl/CheetahVel-v0", **{"objective.velocity_range": [0, 3]})
    gymnasium.make_vec("metarl/CheetahVel-v0", num_envs=64, autoreset_mode="SameStep")

or, in one string, `gymnasium.make("metarl_cli.gym:metarl/CheetahVel-v0")`. It is cheap: no physics,
no torch, no Hydra before an environment is made. (gymnasium has no entry points for plug-ins since
its version 1.0: an environment's package is imported by whoever uses it.)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gymnasium.envs.registration import register, registry

from metarl_cli.core.plugins import conf_dirs


def env_id(name: str) -> str:
    """Return the gymnasium id of an environment: `cheetah_vel` is `metarl/CheetahVel-v0`."""
    return f"metarl/{''.join(word.capitalize() for word in name.split('_'))}-v0"


def register_envs(folders: Iterable[Path]) -> None:
    """Register the YAMLs of folders such as `conf/env`; ids that there are already stay."""
    for path in sorted(path for folder in folders for path in folder.glob("*.yaml")):
        if env_id(path.stem) not in registry:
            register(
                id=env_id(path.stem),
                entry_point="metarl_cli.config.make:make_env",
                vector_entry_point="metarl_cli.config.make:make_vector_env",
                kwargs={"name": path.stem},
            )


register_envs(folder / "env" for folder in conf_dirs())
