"""Turn Hydra's and OmegaConf's messages into one line that says what to type instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from metarl_cli.config_check import suggest
from metarl_cli.core.paths import conf_dir

KnownKeys = Callable[[str, Sequence[str]], list[str]]  # (config name, group choices) -> dotted keys

UNKNOWN_OPTION = re.compile(r"Could not find '(?P<group>[^']*)/(?P<option>[^'/]*)'")
UNKNOWN_KEY = re.compile(
    r"Could not override '(?P<a>[^']+)'|Key '(?P<b>[^']+)' is not in struct"
    r"|Could not delete from config. '(?P<c>[^']+)'|Could not delete. No match for '(?P<d>[^']+)'"
)
UNPARSED = re.compile(
    r"(?:Error parsing override|Cannot parse|LexerNoViable\w*:?) ?'(?P<text>.*?)'\n"
)


def explain(
    error: BaseException, config_name: str, overrides: Sequence[str], known_keys: KnownKeys
) -> str:
    """Return one line about a failed composition, with the closest legal spelling."""
    text = str(error)
    if found := UNKNOWN_OPTION.search(text):
        return _unknown_option(found["group"], found["option"])
    if found := UNKNOWN_KEY.search(text):
        wrong = next(group for group in found.groups() if group)
        return _unknown_key(_full_key(text) or wrong, config_name, overrides, known_keys)
    if found := UNPARSED.search(text):
        return f"cannot read {found['text']!r}: settings are written key=value"
    if "Ambiguous value for argument" in text:
        return f"several values need a sweep: add -m ({_first_line(text)})"
    return " ".join(text.split()) or type(error).__name__


def group_choices(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that choose an option of a config group and name one that exists."""
    chosen = []
    for override in overrides:
        group, equals, option = override.lstrip("+").partition("=")
        if equals and (conf_dir() / group / f"{option}.yaml").is_file():
            chosen.append(override)
    return chosen


def options_of(group: str) -> list[str]:
    """List the options of a config group, also those in sub-folders (`article/claim`)."""
    folder = conf_dir() / group
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml"))


def _unknown_option(path: str, name: str) -> str:
    group, _, folder = path.partition("/")
    option = f"{folder}/{name}" if folder else name
    options = options_of(group)
    listing = f" Available: {', '.join(options)}." if options else ""
    return f"there is no {group}={option}.{suggest(option, options)}{listing}"


def _unknown_key(
    wrong: str, config_name: str, overrides: Sequence[str], known_keys: KnownKeys
) -> str:
    keys = known_keys(config_name, group_choices(overrides))
    groups = [path.name for path in conf_dir().iterdir() if path.is_dir()]
    return f"unknown key {wrong}.{suggest(wrong, [*keys, *groups])}"


def _full_key(text: str) -> str:
    found = re.search(r"full_key: (\S+)", text)
    return found[1] if found else ""


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0]
