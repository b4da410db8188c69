"""Compose primary configs; turn a failed composition into one line that says what to type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metarl_cli.config.aliases import hint
from metarl_cli.config.sources import chosen_groups, giving_way, groups_of, our_sources
from metarl_cli.core.errors import UserError
from metarl_cli.core.paths import conf_dir
from metarl_cli.core.plugins import conf_dirs, conf_file
from metarl_cli.core.words import one_line, suggest

# Hydra lets a few raw errors through, e.g. TypeError for `env=[1,2]`.
FAILURES = (HydraException, OmegaConfBaseException, ValueError, TypeError)
EXTRAS = {
    "hydra_submitit_launcher": "slurm",
    "hydra_ray_launcher": "ray",
}  # what only an extra brings
UNKNOWN_OPTION = re.compile(r"Could not (?:find|load) '(?P<group>[^'/]*)/(?P<option>[^']*)'")
UNKNOWN_KEY = re.compile(
    r"Could not override '([^']+)'|Key '([^']+)' is not in struct|Could not delete[^']*'([^']+)'"
)
UNPARSED = re.compile(r"Error parsing override '(?P<text>.*?)'\n", re.DOTALL)


def compose(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a primary config as the command line would, also while a Hydra program runs."""
    try:
        return _compose(config_name, overrides)
    except FAILURES as error:
        raise UserError(explain(error, config_name, overrides)) from error


def explain(error: BaseException, config_name: str, overrides: Sequence[str]) -> str:
    """Return one line about a failed composition, with the closest legal spelling."""
    text = str(error)
    if missing := missing_extra(error):
        return missing
    if found := UNKNOWN_OPTION.search(text):
        return _unknown_option(found["group"], found["option"])
    if found := UNKNOWN_KEY.search(text):
        full_key = re.search(r"full_key: (\S+)", text)
        wrong = full_key[1] if full_key else next(group for group in found.groups() if group)
        return _unknown_key(wrong, config_name, overrides)
    if found := UNPARSED.search(text):
        return f"cannot read {found['text']!r}: settings are written key=value"
    if "Config group override must be" in text:
        return _odd_choice(config_name, overrides)
    if "Ambiguous value for argument" in text:
        return f"several values need a sweep, add -m: {text.strip().splitlines()[0]}"
    return one_line(error).partition(" See https://")[0]


@dataclass(frozen=True)
class Part:
    """A YAML file that a configuration is composed of."""

    path: str  # `learner/ppo`
    place: str  # of its content in the whole, `algo.ppo`; empty for the root
    left_out: frozenset[str]  # its groups that give way to what the user typed

    @property
    def group(self) -> str:
        """The group of which it is an option."""
        return self.path.partition("/")[0]


def files_of(config_name: str, overrides: Sequence[str] = ()) -> list[Part]:
    """Return the files that a configuration is composed of; the later ones win."""
    with our_sources(config_name, overrides), _own_hydra():
        loader: Any = GlobalHydra.instance().config_loader()
        found = loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults
    chosen = chosen_groups(config_name, overrides)
    return [
        Part(
            item.config_path,
            item.package or "",
            frozenset() if item.primary or item.package else giving_way(item.config_path, chosen),
        )
        for item in found
        if item.config_path and not str(item.package).startswith("hydra")
    ]


def missing_extra(error: BaseException) -> str | None:
    """Return what to install if an error says that a launcher is missing, else None."""
    missing = [extra for part, extra in EXTRAS.items() if part in str(error)]
    return (
        f"hydra/launcher={missing[0]} needs pip install 'metarl-cli[{missing[0]}]'"
        if missing
        else None
    )


def options_of(group: str) -> list[str]:
    """List the options of a config group, also those in sub-folders (`article/claim`)."""
    found = {
        path.relative_to(conf / group).with_suffix("").as_posix()
        for conf in conf_dirs()
        for path in (conf / group).rglob("*.yaml")
    }
    return sorted(found)


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Initialise Hydra on our conf folder; put back whatever program was running."""
    with our_sources(config_name, overrides), _own_hydra():
        return hydra.compose(config_name, list(overrides))


@contextmanager
def _own_hydra() -> Iterator[None]:
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = running


def _unknown_option(group: str, option: str) -> str:
    options = options_of(group)
    listing = f" Available: {', '.join(options)}" if options else ""
    return f"there is no {group}={option}.{suggest(option, options)}{listing}"


def _odd_choice(config_name: str, overrides: Sequence[str]) -> str:
    """Name the override that gives a config group something else than the name of an option."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key in groups_of(config_name) or not key.isidentifier():
            return f"cannot read {key}={value}: a group takes the name of an option, env=point_nav"
    return "a group takes the name of an option, as in env=point_nav"


def _unknown_key(wrong: str, config_name: str, overrides: Sequence[str]) -> str:
    if any((conf / wrong).is_dir() for conf in conf_dirs()):
        return _part_of_others(wrong, config_name, overrides)
    return f"unknown key {wrong}.{hint(wrong, known_keys(config_name, overrides) - {wrong})}"


def _part_of_others(group: str, config_name: str, overrides: Sequence[str]) -> str:
    """Say of a group that is no choice where what it holds can be set."""
    text = f"{group} cannot be chosen here: its options are parts that other configs include"
    choices = _group_choices(config_name, overrides)
    keys = known_keys(config_name, choices)
    included = {part.place for part in _files(config_name, choices) if part.group == group}
    places = sorted(included or {key for key in keys if key.rpartition(".")[2] == group})
    if not places:
        return text
    example = next(key for key in sorted(keys) if key.startswith(f"{places[0]}."))
    return f"{text}; {' and '.join(places)} can be set, for instance {example}"


def _files(config_name: str, overrides: Sequence[str]) -> list[Part]:
    try:
        return files_of(config_name, overrides)
    except FAILURES:
        return []


def known_keys(config_name: str, overrides: Sequence[str]) -> set[str]:
    """Return all that can be set: dotted keys for the user's choices, and groups to choose from."""
    return {*_known_keys(config_name, overrides), *groups_of(config_name)}


def _known_keys(config_name: str, overrides: Sequence[str]) -> list[str]:
    """Return all dotted keys of a config with the user's group choices, or of the default."""
    for choices in (_group_choices(config_name, overrides), []):
        try:
            return _all_keys(OmegaConf.to_container(_compose(config_name, choices)))
        except FAILURES:
            continue
    return []


def _group_choices(config_name: str, overrides: Sequence[str]) -> list[str]:
    """Return the overrides that choose from a group an option that there is."""
    chosen = []
    for override in overrides:
        group, equals, option = override.lstrip("+").partition("=")
        if equals and group in groups_of(config_name) and conf_file(f"{group}/{option}.yaml"):
            chosen.append(override)
    return chosen


def _all_keys(tree: Any, prefix: str = "") -> list[str]:
    keys = []
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        keys.append(name)
        if isinstance(value, dict):
            keys.extend(_all_keys(value, name))
    return keys
