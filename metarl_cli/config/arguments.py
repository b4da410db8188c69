"""The words of a command line: Hydra's flags, settings `key=value`, and how both are typed.

Imports nothing heavy.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Sequence
from typing import Any

from metarl_cli.core.errors import UserError

# Hydra's flags, and what each takes: nothing, a value, or a value that may be left out.
FLAGS = {
    **dict.fromkeys(("--help", "-h", "--hydra-help", "--version", "--resolve"), "nothing"),
    **dict.fromkeys(("--run", "-r", "--multirun", "-m", "--shell-completion", "-sc"), "nothing"),
    **dict.fromkeys(("--cfg", "-c", "--package", "-p", "--config-path", "-cp"), "value"),
    **dict.fromkeys(("--config-name", "-cn", "--config-dir", "-cd"), "value"),
    "--experimental-rerun": "value",
    **dict.fromkeys(("--info", "-i"), "perhaps"),
}
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
ASKING = frozenset(("--help", "-h"))  # for the page of a command
SETTING = re.compile(r"[+~]{0,2}[^\s=-][^=]*=|~\S")
PLAIN = re.compile(r"[A-Za-z_./][\w./:+%@-]*")  # strings that Hydra reads without quotes
WORDS_OF_YAML = ("null", "true", "false", "nan", "inf", "")


def split(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Tell Hydra's flags with their values, settings, and words that are neither apart.

    Raises:
        UserError: a flag lacks its value, or would take a setting for it.
    """
    flags: list[str] = []
    settings: list[str] = []
    others: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, equals, _ = word.partition("=")
        takes = FLAGS.get(name if equals else word)
        if takes is None:
            (settings if SETTING.match(word) else others).append(word)
            continue
        flags.append(word)
        if equals or takes == "nothing":
            continue
        if takes == "value":
            flags.append(_value_of(word, waiting))
        elif waiting and waiting[0] in INFO:
            flags.append(waiting.pop(0))
    _require_use(flags)
    return flags, settings, others


def placed(arguments: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Read words that are no settings as lists: `A B to=x` becomes `first=[A] second=[B] to=x`.

    Folders with a `=` in their names are such words, too, if they exist, and patterns that match.

    Args:
        arguments: as typed.
        keys: one word each in their order; the only one of a command takes all.

    Raises:
        UserError: there are more words than keys.
    """
    values: list[str] = []
    others: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-"):
            others.append(word)
            if FLAGS.get(word) == "value" and waiting:
                others.append(waiting.pop(0))
        elif SETTING.match(word) and not any(glob.iglob(word)) and not os.path.exists(word):
            others.append(word)
        else:
            values.append(word)
    lists = [values] if len(keys) == 1 else [[value] for value in values]
    if len(lists) > len(keys):
        raise UserError(
            f"{len(values)} words for {' and '.join(keys)}; put a pattern in quotes: 'outputs/a-*'"
        )
    return [*others, *(typed(key, x) for key, x in zip(keys, lists, strict=False) if x)]


def rewrite_run_settings(arguments: Sequence[str], own_keys: Sequence[str]) -> list[str]:
    """Move settings of an earlier run under `overrides`: `seed=1` -> `++overrides.seed=1`.

    Args:
        arguments: flags and overrides as typed.
        own_keys: root keys of the command itself; they stay, as do flags and `hydra.*`.
    """
    rewritten = []
    for argument in arguments:
        key = argument.partition("=")[0]
        if _is_own(argument, own_keys) or argument.startswith("-") or not key[:1].strip():
            rewritten.append(argument)
        elif key[0] in "+~":
            raise UserError(
                f"{argument}: a run's settings can change, not come or go; drop the {key[0]}"
            )
        else:
            rewritten.append(f"++overrides.{argument}" if "=" in argument else argument)
    return rewritten


def split_off_run_settings(
    settings: Sequence[str], own_keys: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Tell a command's own settings, and Hydra's, from those of the runs that it starts."""
    own = [setting for setting in settings if _is_own(setting, own_keys)]
    return own, [setting for setting in settings if not _is_own(setting, own_keys)]


def typed(key: str, value: Any) -> str:
    """Return the setting as it is typed, for instance `algo.ppo.clip=0.2` or `a='b c'`."""
    return f"{key}={as_value(value)}"


def line(words: Sequence[str]) -> str:
    """Return a command line that a shell reads as these words."""
    return " ".join(shlex.quote(word) for word in words)


def _is_own(setting: str, own_keys: Sequence[str]) -> bool:
    root = re.split(r"[./@]", setting.partition("=")[0].lstrip("+~"))[0]
    return root in own_keys or root == "hydra"


def _value_of(flag: str, waiting: list[str]) -> str:
    following = waiting[0] if waiting else ""
    if not following or following.startswith("-") or SETTING.match(following):
        got = f", not {following}" if following else ""
        raise UserError(f"{flag} takes a value{got}; put the value right behind it")
    return waiting.pop(0)


def _require_use(flags: Sequence[str]) -> None:
    """Refuse `--package` alone: Hydra would not say that it does nothing."""
    for name in ("--package", "-p"):
        if name in flags and not {"--cfg", "-c"} & {flag.partition("=")[0] for flag in flags}:
            raise UserError(f"{name} shows a part of the configuration: add --cfg job")


def as_value(value: Any) -> str:
    """Write a value so that Hydra reads it as it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{as_value(x)}" for key, x in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(as_value, value)) + "]"
    if isinstance(value, str) and not _reads_as_itself(value):
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
        trailing = re.search(r"\\*$", escaped)
        return f"'{escaped}{trailing[0] if trailing else ''}'"
    return str(value)


def _reads_as_itself(value: str) -> bool:
    return bool(PLAIN.fullmatch(value)) and value.lower() not in WORDS_OF_YAML
