"""Names of runs and sweeps, which follow from what was typed.

The folder of a sweep follows from its command: the same command again finds what it has done.

The setting of a run is what was chosen beside its environment, algorithm, experiment and seed.
Runs of one setting differ by their seeds alone, so their mean says something. What a sweep varies
of it stands in the names of its runs. Which keys these are only the command line of the sweep
knows: its jobs, in whatever process, find them in an environment variable.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from metarl_cli.core.words import folder_part, short_settings

SWEPT = "METARL_SWEPT"  # environment variable: keys that the sweep varies, parted by commas
AGENT = "WANDB_SWEEP_ID"  # likewise: set by an agent of W&B, which varies what it likes
STABLE = ("train",)  # a run follows from its command; `checkpoint=latest` is another one tomorrow
FLAGS = ("-m", "--multirun")
FOLDER = "hydra.sweep.dir="
GROUPS = ("experiment", "env", "algo")  # whose options stand in the name
MOST_CHARACTERS = 80
IN_EVERY_NAME = ("env", "algo", "experiment", "seed")
WITHOUT_EFFECT = (
    "logger",
    "threads",
    "device",
    "native",
    "plugins",
    "name",
    "tags",
    "film",
    "film_evals",
    "curves",
    "hydra",
)


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
    several = _keys_with_several_values(own)
    options = {key: value for key, _, value in pairs if key not in several}
    names = [options[group] for group in GROUPS if group in options]
    names += ["by", *several] * bool(several)
    readable = re.sub(r"[^\w.]+", "-", "-".join(names))[:MOST_CHARACTERS].strip("-")
    digest = hashlib.sha256("\n".join(own).encode()).hexdigest()[:8]
    return "outputs/sweep/" + "-".join(filter(None, (readable, digest)))


@contextlib.contextmanager
def sweep_noted(arguments: Sequence[str]) -> Iterator[None]:
    """Let the jobs of a sweep, started in this block, know what the sweep varies."""
    if not set(FLAGS) & set(arguments):
        yield
        return
    before = os.environ.get(SWEPT)
    os.environ[SWEPT] = ",".join(_keys_with_several_values(arguments))
    try:
        yield
    finally:
        os.environ.pop(SWEPT)
        if before is not None:
            os.environ[SWEPT] = before


def setting_of(overrides: Iterable[str]) -> list[str]:
    """Return `key=value` of what a run was told, in order of the keys.

    Left out is what every name has anyway, and what changes no result.
    """
    words = sorted({override.lstrip("+") for override in overrides})
    return [word for word in words if not _stands_apart(_key(word))]


def in_sweep() -> bool:
    """Say whether this process belongs to a sweep, ours or one of W&B."""
    return SWEPT in os.environ or AGENT in os.environ


def swept_of(setting: Iterable[str]) -> list[str]:
    """Return what of a setting is varied by the sweep that this process belongs to."""
    if (keys := os.environ.get(SWEPT)) is not None:
        return [word for word in setting if _key(word) in keys.split(",")]
    return list(setting) if AGENT in os.environ else []


def run_name(*, _root_: DictConfig) -> str:
    """Return the name of a run's folder, `point_nav-maml-<name>-<what is swept>-s0`.

    Args:
        _root_: a composed config, given by OmegaConf.
    """
    choices = _root_.hydra.runtime.choices
    swept = swept_of(setting_of(_root_.hydra.overrides.task))
    given: Any = _root_.get("name")
    words = [choices.env, choices.algo, folder_part([str(given or "")])]
    return "-".join(filter(None, [*words, folder_part(short_settings(swept)), f"s{_root_.seed}"]))


def _keys_with_several_values(arguments: Iterable[str]) -> list[str]:
    words = [word for word in arguments if "=" in word and not word.startswith("-")]
    try:
        parsed = OverridesParser.create().parse_overrides(words)
    except HydraException:  # Hydra says so itself, and better
        return []
    several = [override for override in parsed if override.is_sweep_override()]
    return [override.get_key_element().lstrip("+").replace("/", ".") for override in several]


def _stands_apart(key: str) -> bool:
    return key in IN_EVERY_NAME or key.partition(".")[0] in WITHOUT_EFFECT


def _key(word: str) -> str:
    return word.lstrip("~").partition("=")[0].replace("/", ".")


OmegaConf.register_new_resolver("run_name", run_name, replace=True)
