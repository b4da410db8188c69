"""Tables of what is known of environments: spaces, hidden tasks, exact returns."""

from __future__ import annotations

import functools
from pathlib import Path

from generator.errors import PageError
from metarl_cli.commands.parts.env_facts import env_facts
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose, options_of

COLUMNS = ("hidden task", "observation", "action", "horizon", "tasks", "mean return")
UNBOUNDED = " from -1e+10 to 1e+10"  # as far as float32 sums are safe: it says nothing


def facts(names: str, page: Path) -> str:
    """Return a row for each of some environments, `NAME,NAME`."""
    rows = [f"| `env=` | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name in names.split(","):
        known = _facts_of(name)
        cells = (known.get(column, "").replace(UNBOUNDED, "") for column in COLUMNS)
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


@functools.cache
def _facts_of(name: str) -> dict[str, str]:
    if name not in options_of("env"):
        raise PageError(f"<!-- facts: {name} -->: no such environment")
    cfg = compose("bench", [f"env={name}"])
    return env_facts(build(cfg.env), cfg.env.tasks)
