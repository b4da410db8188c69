"""The folder of a sweep follows from its command: the same command again finds what it has done."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

STABLE = ("train",)  # a run follows from its command; `checkpoint=latest` is another one tomorrow
FLAGS = ("-m", "--multirun")
FOLDER = "hydra.sweep.dir="
GROUPS = ("experiment", "env", "algo")  # whose options stand in the name
SEVERAL = re.compile(r"[^\[{'\"].*,|(choice|range|glob|shuffle|sort|interval|tag)\(")
MOST_CHARACTERS = 80


def with_sweep_folder(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Add `hydra.sweep.dir=<folder>` to a command line that asks for a sweep and names none."""
    words = list(arguments)
    asked = any(flag in words for flag in FLAGS) and config_name in STABLE
    if asked and not any(word.lstrip("+").startswith(FOLDER) for word in words):
        words.append(FOLDER + sweep_folder(words))
    return words


def sweep_folder(words: Iterable[str]) -> str:
    """Return `outputs/sweep/<options>-by-<swept keys>-<digest of all settings>`.

    What is said to Hydra, such as how many jobs run at once, makes no other sweep; neither does
    the code, which may have changed in between.
    """
    own = [word for word in words if word not in FLAGS and not word.startswith("hydra")]
    pairs = [word.lstrip("+~").partition("=") for word in own]
    several = [key for key, _, value in pairs if SEVERAL.match(value)]
    options = {key: value for key, _, value in pairs if key not in several}
    names = [options[group] for group in GROUPS if group in options]
    names += ["by", *several] * bool(several)
    readable = re.sub(r"[^\w.]+", "-", "-".join(names))[:MOST_CHARACTERS].strip("-")
    digest = hashlib.sha256("\n".join(own).encode()).hexdigest()[:8]
    return "outputs/sweep/" + "-".join(filter(None, (readable, digest)))
