"""The command line that stands for a run's frozen configuration, whatever presets say today."""

from __future__ import annotations

from typing import Any

from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.config.arguments import as_value
from metarl_cli.config.build import leaves
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import UserError
from metarl_cli.runtime.run_record import RunRecord

# Where results go and who may be trusted: not what makes them
APART = ("logger", "name", "tags", "plugins", "film", "film_evals", "curves", "native")


def words_of(run: RunRecord) -> list[str]:
    """Return the words after `metarl train` that give this run's settings: groups and what differs.

    Raises:
        UserError: no words do, for instance because a setting is gone.
    """
    identity = run.identity
    chosen = [f"env={identity.env}", f"algo={identity.algo}"]
    kept = _settings(load_config(run))
    default = _settings(compose("train", chosen))
    words = chosen + [
        f"{'' if key in default else '+'}{key}={as_value(value)}"
        for key, value in kept.items()
        if key not in default or default[key] != value
    ]
    words += [f"{key}=null" for key in default if key not in kept]
    if _settings(compose("train", words)) != kept:
        raise UserError(f"{run.folder}: its settings cannot be typed any more")
    return words


def _settings(cfg: Any) -> dict[str, Any]:
    """What makes the results; a setting that is null is as one that is absent."""
    return {k: x for k, x in leaves(cfg) if x is not None and k.split(".")[0] not in APART}
