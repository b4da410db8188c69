"""Installed packages of others that bring environments and algorithms.

A package says so by an entry point of the group `metarl.plugins` that names it, and keeps its
configs in a folder `conf` of its own, arranged like ours:

    [project.entry-points."metarl.plugins"]
    my_package = "my_package"
"""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from metarl_cli.core.paths import conf_dir

GROUP = "metarl.plugins"


@functools.cache
def installed_plugins() -> tuple[str, ...]:
    """Return the packages, sorted; the user trusts them, for they are installed."""
    names = {point.value.strip() for point in entry_points(group=GROUP)}
    return tuple(sorted(name for name in names if name.isidentifier()))


@functools.cache
def conf_dirs() -> tuple[Path, ...]:
    """Return all folders of YAML configs: ours, which wins, and those of plug-ins.

    Nothing of a plug-in is imported.
    """
    folders = [Path(place) / "conf" for name in installed_plugins() for place in _places(name)]
    return (conf_dir(), *(folder for folder in folders if folder.is_dir()))


def conf_file(relative: str) -> Path | None:
    """Return the file that a path such as `env/nav2d.yaml` means, or None if there is none."""
    return next((f / relative for f in conf_dirs() if (f / relative).is_file()), None)


def _places(package: str) -> list[str]:
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    return [] if spec is None else list(spec.submodule_search_locations or [])
