"""Where Hydra finds YAML: our `conf`, those of installed plug-ins, and presets that give way.

A config for the whole tree (`# @package _global_`: an experiment, or an algorithm that has sizes of
its own for the network) sets several groups. What a user names beside it wins: the sections of
groups chosen on the command line are left out. So `experiment=maml/point_nav budget=smoke` trains
the smoke budget although the preset has `budget: {env_steps: ...}`, and `network=gru` is the
network of that name, without sizes meant for another.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from metarl_cli.core.plugins import conf_dirs, conf_file


class PluginFolders(SearchPathPlugin):
    """Adds the `conf` folders of installed plug-ins, to be searched after ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders."""
        for folder in conf_dirs()[1:]:
            search_path.append("plugin", str(folder))


class _Source(FileConfigSource):
    """Reads YAML files.

    Args:
        provider: who named the folder.
        path: the folder.
        choices: the groups that a user can choose from; of others, help and completion say nothing.
        chosen: those that the user did choose from.
    """

    def __init__(
        self, provider: str, path: str, *, choices: frozenset[str], chosen: frozenset[str]
    ) -> None:
        super().__init__(provider, path)
        self._choices, self._chosen = choices, chosen

    def load_config(self, config_path: str) -> ConfigResult:
        result = super().load_config(config_path)
        if result.header.get("package") == "_global_" and isinstance(result.config, DictConfig):
            sections = {str(key) for key in result.config}
            for group in giving_way(config_path, self._chosen) & sections:
                del result.config[group]
        return result

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        names = super().list(config_path, results_filter)
        if config_path == "" and results_filter == ObjectType.GROUP:
            return [name for name in names if name in self._choices]
        return names


@functools.cache
def groups_of(config_name: str) -> frozenset[str]:
    """Return the groups that a user can choose from: those in the defaults of a primary config."""
    file = conf_file(f"{config_name}.yaml")
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file else {}
    choices = [item for item in content.get("defaults", []) if isinstance(item, dict)]
    return frozenset(key for item in choices for key in item if " " not in key)


def chosen_groups(config_name: str, overrides: Sequence[str]) -> frozenset[str]:
    """Return the groups that the user has chosen from."""
    return groups_of(config_name) & {word.lstrip("+").partition("=")[0] for word in overrides}


def giving_way(config_path: str, chosen: frozenset[str]) -> frozenset[str]:
    """Return the groups that a config for the whole tree leaves to what the user has chosen."""
    return chosen - {config_path.partition("/")[0]}


@contextmanager
def our_sources(config_name: str, overrides: Sequence[str]) -> Iterator[None]:
    """Let Hydra read our way, in this block, for a primary config and what the user typed."""
    choices, chosen = groups_of(config_name), chosen_groups(config_name, overrides)
    Plugins.instance().register(PluginFolders)  # and Hydra's own sources, once
    types: dict[str, Any] = SourcesRegistry.instance().types
    before = types[FileConfigSource.scheme()]
    source = functools.partial(_Source, choices=choices, chosen=chosen)
    types[FileConfigSource.scheme()] = source
    # The process of a launcher registers Hydra's own anew, which means nothing if the names agree
    types[FileConfigSource.scheme()].__name__ = FileConfigSource.__name__
    try:
        yield
    finally:
        types[FileConfigSource.scheme()] = before
