"""Short names for settings: in folders, lists and what experiment trackers show."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

MOST_FOLDER_CHARACTERS = 100  # of 255 that a file name may have
BRACKETS = re.compile(r"[\[\](){}'\"]")
NOT_IN_FOLDERS = re.compile(r"[^A-Za-z0-9_.+-]+")  # all else needs quotes where paths are typed


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
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: most - len(digest) - 1]}-{digest}"
