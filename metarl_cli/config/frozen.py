"""The configuration that a run keeps in its folder: written when it begins, read as plain data.

The folder may come from a stranger. So what is read must be a small, regular file of plain YAML:
no aliases (they can unfold to gigabytes), no interpolations (they can read the environment), and
its `_target_`s are checked like those of the command line.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metarl_cli.config.migrate import STEPS, VERSION_KEY, migrate
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import one_line

MOST_BYTES = 1_000_000
MOST_LEVELS = 50  # of settings within settings


def freeze(cfg: DictConfig) -> str:
    """Return the YAML to keep of a configuration: resolved, with the number of the version."""
    return OmegaConf.to_yaml({VERSION_KEY: len(STEPS)} | _resolved(cfg))


def read_frozen(path: Path) -> DictConfig:
    """Read what `freeze` wrote, now or in an earlier version.

    Raises:
        UserError: the file is no such config, or more than data.
    """
    text = _read(path)
    try:
        _require_plain(text, path)
        loaded = OmegaConf.create(text)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: not the config of a run") from error
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path} is not the config of a run")
    try:
        return OmegaConf.create(migrate(_resolved(loaded)))
    except UserError as error:
        raise UserError(f"{path}: {one_line(error)}") from error


def _read(path: Path) -> str:
    """Return the text of a small, regular file; nothing else is even opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"cannot read {path}: not a regular file")
        if status.st_size > MOST_BYTES:
            raise UserError(f"cannot read {path}: {status.st_size} bytes are no config of a run")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: not the config of a run") from error


def _require_plain(text: str, path: Path) -> None:
    """Refuse, before anything is built of it, YAML that is more than nested plain values."""
    level = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"cannot read {path}: the config of a run holds no aliases")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            what = f"no interpolation like {event.value[:80]}"
            raise UserError(f"cannot read {path}: the config of a run holds {what}")
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise UserError(f"cannot read {path}: more than {MOST_LEVELS} levels of settings")


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    tree = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}
