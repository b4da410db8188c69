"""The best settings of a search as an experiment: a YAML to train with, to copy and to change."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from metarl_cli.config.arguments import as_value
from metarl_cli.config.compose import compose
from metarl_cli.config.sources import groups_of
from metarl_cli.core.errors import UserError

EXPERIMENT = "experiment"
NOT_OF_THE_METHOD = ("logger", "seed", "threads", "device", "hydra")  # how and where it is trained
SEARCHPATH = "hydra.searchpath="
_ABSENT = object()


def preset_text(words: Sequence[str], heading: Sequence[str]) -> str:
    """Write settings as the text of a file for `experiment/`.

    What groups and values named together mean (`experiment=X budget=smoke` leaves out the preset's
    own budget) is found by composing both, and what differs is added.

    Args:
        words: settings as typed, `env=point_nav`, `algo.inner.step_size=0.1`.
        heading: lines of a comment at the top.

    Raises:
        UserError: no preset can say this.
    """
    parser = OverridesParser.create()
    groups: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for override in parser.parse_overrides(list(words)):
        key = override.key_or_group
        if key.partition(".")[0] in NOT_OF_THE_METHOD:
            continue
        if override.is_delete() or override.package is not None:
            raise UserError(f"no preset can say {override.input_line}")
        if key in groups_of("train"):
            groups[key] = override.value()
        else:
            _put(settings, key, override.value())
    defaults = _defaults(groups)
    searchpath = [word for word in words if word.startswith(SEARCHPATH)]
    asked = _settings_of(words)
    said = _settings_when_chosen(_text(heading, defaults, settings), searchpath)
    for key, value in asked.items():
        if said.get(key, _ABSENT) != value:
            _put(settings, key, value)
    text = _text(heading, defaults, settings)
    said = _settings_when_chosen(text, searchpath)
    if differing := [
        key for key in said | asked if said.get(key, _ABSENT) != asked.get(key, _ABSENT)
    ]:
        raise UserError(f"no preset can say this: {differing[0]} would be another")
    return text


def _defaults(groups: dict[str, Any]) -> list[Any]:
    """Return the defaults list: an experiment to build upon, then the groups that were chosen."""
    experiment = groups.pop(EXPERIMENT, None)
    base = [] if experiment is None else [f"/{EXPERIMENT}/{experiment}"]
    return [*base, *({f"override /{group}": option} for group, option in groups.items())]


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        tree = tree.setdefault(name, {})
    tree[last] = value


def _text(heading: Sequence[str], defaults: Sequence[Any], settings: dict[str, Any]) -> str:
    lines = ["# @package _global_", *(f"# {line}" for line in heading)]
    content = {"defaults": [*defaults, "_self_"]} | settings
    return "\n".join(lines) + "\n" + yaml.safe_dump(content, sort_keys=False, width=100)


def _settings_when_chosen(text: str, searchpath: Sequence[str]) -> dict[str, Any]:
    """Return what training would be set to with a preset, by dotted key."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / EXPERIMENT / "preset.yaml"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        folders = [folder, *_folders(searchpath)]
        listed = ",".join(as_value(item if "://" in item else f"file://{item}") for item in folders)
        return _settings_of([f"{SEARCHPATH}[{listed}]", f"{EXPERIMENT}=preset"])


def _folders(searchpath: Sequence[str]) -> list[str]:
    parser = OverridesParser.create()
    values = [parser.parse_override(word).value() for word in searchpath]
    return [str(folder) for value in values if isinstance(value, list) for folder in value]


def _settings_of(words: Sequence[str]) -> dict[str, Any]:
    tree = OmegaConf.to_container(compose("train", words), resolve=False)
    assert isinstance(tree, dict)
    kept = {key: value for key, value in tree.items() if key not in NOT_OF_THE_METHOD}
    return dict(_leaves(kept, ""))


def _leaves(tree: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
