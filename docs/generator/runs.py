"""Tables and pictures of the reference runs, from `outputs/reference/`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.errors import PageError
from generator.places import REFERENCE, link
from metarl_cli.commands.parts.frozen import load_config
from metarl_cli.config.build import flatten
from metarl_cli.config.compose import compose
from metarl_cli.reports.tables import reference_table
from metarl_cli.runtime.find_runs import find_runs
from metarl_cli.runtime.run_record import RunRecord

NONE = "There is no reference run yet.\n"


def runs(which: str, page: Path) -> str:
    """Return the table of reference runs, each with its changes of the environment.

    Args:
        which: `all`, or whose: `algo=NAME` or `env=NAME,NAME`.
        page: where it will stand.
    """
    chosen = _chosen(which)
    if not chosen:
        return NONE
    table = reference_table(chosen)
    for run in chosen:
        if changes := _all_changes()[run.folder]:
            name = run.folder.name
            table = table.replace(f"**{name}**", f"**{name}** ({changes})")
    return table


def pictures(which: str, page: Path) -> str:
    """Return the curves of reference runs; `which` as in `runs`."""
    lines = []
    for run in _chosen(which):
        curves = run.folder / "curves.png"
        if curves.is_file():
            text = f"{run.identity.algo} on {run.identity.env}: learning curve and meta-test"
            lines.append(f"![{text}]({link(page, curves)})")
    return "\n\n".join(lines) + "\n" if lines else NONE


def _chosen(which: str) -> list[RunRecord]:
    if which == "all":
        return list(_all_runs())
    key, _, names = which.partition("=")
    if key not in ("algo", "env"):
        raise PageError(f"runs of {which!r}: expected all, algo=NAME or env=NAME,NAME")
    return [run for run in _all_runs() if getattr(run.identity, key) in names.split(",")]


@functools.cache
def _all_runs() -> tuple[RunRecord, ...]:
    return tuple(sorted(find_runs(REFERENCE), key=lambda run: run.folder))


@functools.cache
def _all_changes() -> Mapping[Path, str]:
    return {run.folder: _changes_of_environment(run) for run in _all_runs()}


@functools.cache
def _default_of(env: str) -> Mapping[str, Any]:
    return flatten(compose("train", [f"env={env}"]).env)


def _changes_of_environment(run: RunRecord) -> str:
    assert run.identity.env is not None
    default, own = _default_of(run.identity.env), flatten(load_config(run).env)
    if own["tasks.mode"] == "fresh":
        del own["tasks.num_train"]  # without effect
    changed = {key: value for key, value in own.items() if default.get(key, value) != value}
    return ", ".join(f"{key}={_text(value)}" for key, value in changed.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
