"""Words for and from the command line: did-you-mean, settings to type, errors in one line.

Imports nothing heavy.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable

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
    text = str(value)
    if PLAIN_PATH.fullmatch(text) and text.lower() not in NOT_TEXT:
        return f"{key}={text}"
    # Hydra: backslashes count only before a quote; OmegaConf: and before what it interpolates.
    quoted = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', quoted)
    quoted = re.sub(r"(\\+)$", r"\1\1", quoted)
    return shlex.quote(f'{key}="{quoted}"')


def one_line(error: BaseException) -> str:
    """Return the message of an error with its lines joined; spaces, in paths, stay as they are."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line) or type(error).__name__


def _likeness(word: str, option: str) -> float:
    left, right = _plain(word).split("."), _plain(option).split(".")
    while len(left) > 1 and len(right) > 1 and left[0] == right[0]:
        left, right = left[1:], right[1:]
    return difflib.SequenceMatcher(None, ".".join(left), ".".join(right)).ratio()


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
