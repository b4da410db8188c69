"""What somebody means who types `metarl eval latest` or `metarl train --env X`: the exact line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from metarl_cli.config.aliases import hint, meant, plain
from metarl_cli.config.arguments import FLAGS, SETTING, line, typed
from metarl_cli.config.compose import compose, known_keys, options_of
from metarl_cli.config.sources import groups_of
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import suggest

RUNS = ("latest", "best")  # words for a run
TAKES_RUN = {
    "resume": "resume",
    "eval": "checkpoint",
    "film": "checkpoint",
    "publish": "checkpoint",
}
FIRST = ("env", "algo", "experiment", "network", "budget", "logger")  # where names are looked for
ROOTS = ("seed", "threads", "device")
NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?")
READ_AS_IT_IS = re.compile(r"-?[\w.,+\[\]:/-]+")  # values that need no quotes of Hydra's
DEVICES = {"true": "cuda", "false": "cpu", "gpu": "cuda", "0": "cuda", "1": "cuda"}
MODES = {"true": "auto", "false": "disabled"}


@dataclass(frozen=True)
class _Pair:
    """A key and a value as typed."""

    key: str
    value: str


def corrected(command: str, config_name: str, arguments: Sequence[str]) -> str:
    """Return one line that says what to type in place of words that are no settings.

    Args:
        command: the first word of the command line.
        config_name: its primary config in `conf/`.
        arguments: the others as typed.
    """
    try:
        words = _Correction(command, config_name).words(arguments)
    except UserError as error:
        return str(error)
    return f"settings are written key=value; type: {line(['metarl', command, *words])}"


class _Correction:
    """Reads the words of one command line as settings."""

    def __init__(self, command: str, config_name: str) -> None:
        self._config_name = config_name
        self._run_key = TAKES_RUN.get(config_name, "resume" if command == "train" else "")
        self._changes_run = config_name in TAKES_RUN
        self._groups = groups_of(config_name)

    def words(self, arguments: Sequence[str]) -> list[str]:
        """Return the words in their order; the last step composes, so that what is told works."""
        roots = {*ROOTS, *self._groups, self._run_key} - {""}
        items = [self._grouped(item) for item in _items(arguments, roots)]
        choices = [item for item in items if isinstance(item, str) and self._is_choice(item)]
        resumes = "resume" in (
            item.partition("=")[0] if isinstance(item, str) else item.key for item in items
        )
        known = known_keys(self._config_name, choices) | self._keys_of_any_run()
        words = [self._named(item, known, checked=not resumes) for item in items]
        settings = [word for word in words if SETTING.match(word)]
        if not self._changes_run and not resumes and not {"-m", "--multirun"} & {*words}:
            compose(self._config_name, settings)
        return words

    def _keys_of_any_run(self) -> set[str]:
        """Return what every earlier run has, whatever it trained."""
        if not self._changes_run:
            return set()
        keys = known_keys("train", ())
        return {
            key for key in keys if key.startswith("env.tasks") or key[:4] not in ("env.", "algo")
        }

    def _is_choice(self, word: str) -> bool:
        return word.partition("=")[0] in self._groups

    def _grouped(self, item: str | _Pair) -> str | _Pair:
        """Read what means a run or the option of a group."""
        if isinstance(item, str):
            return item
        key = plain(item.key)
        if not key:
            return self._bare(item.value)
        others = [name for name in meant(key, self._groups) if name != "logger"]
        names = [key] if key in self._groups else others
        if not names:
            return _Pair(key, item.value)
        option = _option(names[0], item.value) or item.value
        return f"{names[0]}=[{option}]" if names[0] == "logger" else f"{names[0]}={option}"

    def _bare(self, word: str) -> str:
        if self._run_key and (self._changes_run or word in RUNS or Path(word).exists()):
            return typed(self._run_key, word)
        for group in (group for group in FIRST if group in self._groups):
            if (name := _option(group, word)) is not None:
                return f"{group}=[{name}]" if group == "logger" else f"{group}={name}"
        raise UserError(f"cannot read {word!r}: settings are written key=value.{self._like(word)}")

    def _named(self, item: str | _Pair, known: set[str], *, checked: bool) -> str:
        """Give a pair the name that it has here."""
        if isinstance(item, str):
            return item
        key = item.key
        own = key in (*known, self._run_key)
        if not own and (fitting := meant(key, {*known, self._run_key})):
            key, own = fitting[0], True
        if not own and checked and not self._changes_run:
            raise UserError(f"unknown key {key}.{hint(key, known)}")
        value = self._value(key, item.value)
        return f"{key}={value}" if READ_AS_IT_IS.fullmatch(value) else typed(key, value)

    def _value(self, key: str, value: str) -> str:
        """Return a value in our words where another program's are known."""
        if key == "device":
            return DEVICES.get(value.lower(), value)
        return MODES.get(value.lower(), value) if key == "logger.wandb.mode" else value

    def _like(self, word: str) -> str:
        """Return a hint at the option whose name is closest."""
        for group in (group for group in FIRST if group in self._groups):
            if found := suggest(word, options_of(group)):
                return found.replace("mean ", f"mean {group}=")
        return ""


def _items(arguments: Sequence[str], roots: Set[str]) -> Iterator[str | _Pair]:
    """Read flags and settings as they are, all else as pairs; a bare word is one without key.

    Args:
        arguments: as typed.
        roots: words that are keys if a value follows: `seed 3`.
    """
    waiting = _joined(arguments)
    while waiting:
        word = waiting.pop(0)
        if (takes := FLAGS.get(word.partition("=")[0])) is not None:
            yield word
            if takes == "value" and "=" not in word and waiting:
                yield waiting.pop(0)
        elif SETTING.match(word):
            yield word
        elif word.startswith("-"):
            name, equals, value = word.partition("=")
            yield _Pair(name, value if equals else _next_value(waiting, "true"))
        elif word in roots and _is_value(waiting):
            yield _Pair(word, waiting.pop(0))
        else:
            yield _Pair("", word)


def _next_value(waiting: list[str], default: str) -> str:
    return waiting.pop(0) if _is_value(waiting) else default


def _is_value(waiting: Sequence[str]) -> bool:
    """Whether the next word can be a value: no flag but perhaps a negative number, no setting."""
    word = waiting[0] if waiting else "-"
    return not SETTING.match(word) and (NUMBER.fullmatch(word) is not None or word[0] != "-")


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join `key = value`, `key= value` and `key =value`."""
    words: list[str] = []
    for word in arguments:
        if words and (word.startswith("=") or (words[-1].endswith("=") and len(words[-1]) > 1)):
            words[-1] += word
        else:
            words.append(word)
    return words


def _option(group: str, word: str) -> str | None:
    """Return the option of a group that differs from a word at most by case and hyphens."""
    return next((name for name in options_of(group) if plain(name) == plain(word)), None)
