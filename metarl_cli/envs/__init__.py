"""Environments, one file per family; each YAML of `conf/env` is also registered with gymnasium.

`conf/env/cheetah_vel.yaml` becomes `metarl/CheetahVel-v0` for `gymnasium.make` (one environment)
and `gymnasium.make_vec` (the batch). Importing this package is cheap: no physics, no Hydra.
"""

import gymnasium

from metarl_cli.core.paths import conf_dir


def env_id(name: str) -> str:
    """Return the gymnasium id of an environment: `cheetah_vel` is `metarl/CheetahVel-v0`."""
    return f"metarl/{''.join(word.capitalize() for word in name.split('_'))}-v0"


def _register_all() -> None:
    for path in sorted((conf_dir() / "env").glob("*.yaml")):
        gymnasium.register(
            id=env_id(path.stem),
            entry_point="metarl_cli.commands.make:make_env",
            vector_entry_point="metarl_cli.commands.make:make_vector_env",
            kwargs={"name": path.stem},
        )


_register_all()
