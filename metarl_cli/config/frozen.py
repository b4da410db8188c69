"""The configuration that a run keeps in its folder: written when it begins, read as plain data.

The folder may come from a stranger. So what is read must be a small, regular file of plain YAML:
no aliases (they can unfold to gigabytes), no interpolations (they can read the environment), and
its `_target_`s are checked like those of the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metarl_cli.config.migrate import STEPS, VERSION_KEY, migrate
from metarl_cli.core.errors import UserError
from metarl_cli.core.plain_yaml import read_plain_yaml
from metarl_cli.core.words import one_line


def freeze(cfg: DictConfig) -> str:
    """Return the YAML to keep of a configuration: resolved, with the number of the version."""
    return OmegaConf.to_yaml({VERSION_KEY: len(STEPS)} | _resolved(cfg))


def read_frozen(path: Path) -> DictConfig:
    """Read what `freeze` wrote, now or in an earlier version.

    Raises:
        UserError: the file is no such config, or more than data.
    """
    try:
        text = read_plain_yaml(path)
        loaded = OmegaConf.create(text)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: not the config of a run") from error
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path} is not the config of a run")
    try:
        return OmegaConf.create(migrate(_resolved(loaded)))
    except UserError as error:
        raise UserError(f"{path}: {one_line(error)}") from error


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    tree = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}
