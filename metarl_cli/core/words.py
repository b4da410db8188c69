"""Words that people read and type: did-you-mean, settings, short names, errors, metrics.

Imports nothing heavy.
"""

from __future__ import annotations

import difflib
import re
import shlex
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

# Metrics of a meta-test, by whom it is for: validation while training, the test that ends a run.
VALIDATION, TEST = "eval", "test"
MOST_FOLDER_CHARACTERS = 100  # of 255 that a file name may have
BRACKETS = re.compile(r"[\[\](){}'\"]")
NOT_IN_FOLDERS = re.compile(r"[^A-Za-z0-9_.+-]+")  # all else needs quotes where paths are typed

PLAIN_PATH = re.compile(r"\.{0,2}/?[A-Za-z_][A-Za-z0-9_./-]*|/[A-Za-z0-9_./-]*")
NOT_TEXT = ("null", "none", "true", "false", "inf", "nan")  # for Hydra


def suggest(word: str, options: Iterable[str]) -> str:
    """Return ` Did you mean ...?` with the closest option, or nothing if none is close.

    Leading parts that two dotted keys share do not count as likeness, nor do case and hyphens.
    """
    scored = [(_likeness(word, option), option) for option in options]
    best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return f" Did you mean {best[1]}?" if best[0] >= 0.5 else ""


def setting(key: str, value: object) -> str:
    """Return `key=value` as it can be typed: a shell gives it to Hydra, Hydra reads this value.

    Folders may be called anything: `my run (2)`, `lr=1,seed=[0]`, `it's ~#$`.
    """
    text = quoted_for_hydra(value)
    typed = f"{key}={text}"
    return typed if text == str(value) else shlex.quote(typed)


def quoted_for_hydra(value: object) -> str:
    """Return what Hydra reads as the text of a value: itself, or in quotes."""
    text = str(value)
    if PLAIN_PATH.fullmatch(text) and text.lower() not in NOT_TEXT:
        return text
    # Hydra: backslashes count only before a quote; OmegaConf: and before what it interpolates.
    quoted = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', quoted)
    quoted = re.sub(r"(\\+)$", r"\1\1", quoted)
    return f'"{quoted}"'


def one_line(error: BaseException) -> str:
    """Return the message of an error with its lines joined; spaces, in paths, stay as they are."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line) or type(error).__name__


def short_settings(settings: Sequence[str]) -> list[str]:
    """Return `key=value` with the last part of each key, or all of it where two would look alike.

    `["algo.inner.steps=2", "env.horizon=5"]` becomes `["steps=2", "horizon=5"]`.
    """
    pairs = [setting.partition("=") for setting in settings]
    shared = Counter(key.rpartition(".")[2] for key, _, _ in pairs)
    return [
        (key if shared[last := key.rpartition(".")[2]] > 1 else last) + equals + value
        for key, equals, value in pairs
    ]


def folder_part(words: Sequence[str]) -> str:
    """Join words to a part of a folder's name that can be typed back without quotes.

    What is too long is cut and ends with a digest, so that different words stay different.
    """
    plain = [BRACKETS.sub("", word.replace("=", "_")) for word in words]
    parts = [NOT_IN_FOLDERS.sub(".", word).strip(".-") for word in plain]
    return cut("-".join(filter(None, parts)), MOST_FOLDER_CHARACTERS)


def cut(text: str, most: int) -> str:
    """Return at most so many characters; a longer text ends with a digest of all of it."""
    if len(text) <= most:
        return text
    digest = f"{zlib.crc32(text.encode()):08x}"
    return f"{text[: most - len(digest) - 1]}-{digest}"


def _likeness(word: str, option: str) -> float:
    left, right = _plain(word).split("."), _plain(option).split(".")
    while len(left) > 1 and len(right) > 1 and left[0] == right[0]:
        left, right = left[1:], right[1:]
    return difflib.SequenceMatcher(None, ".".join(left), ".".join(right)).ratio()


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
