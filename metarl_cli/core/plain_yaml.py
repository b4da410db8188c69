"""YAML that is nothing but nested plain values: what may be read of a stranger's file."""

from __future__ import annotations

from pathlib import Path

import yaml

from metarl_cli.core.errors import UserError
from metarl_cli.core.files import read_regular

MOST_BYTES = 1_000_000
MOST_LEVELS = 50  # of settings within settings


def read_plain_yaml(path: Path) -> str:
    """Return the text of a small, regular file, before anything is built of it.

    Raises:
        UserError: it holds aliases (they can unfold to gigabytes), interpolations (they can read
            the environment) or too many levels, or cannot be read.
        yaml.YAMLError: it is no YAML.
    """
    if not path.exists():
        raise UserError(f"cannot read {path}: it is missing, so this is not the config of a run")
    try:
        text = read_regular(path, most_bytes=MOST_BYTES).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: not the config of a run") from error
    _require_plain(text, path)
    return text


def _require_plain(text: str, path: Path) -> None:
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
