"""Every key of a configuration in words: from comments in the YAMLs, and docstrings."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from metarl_cli.commands.words.comments import comments_of
from metarl_cli.commands.words.docstrings import documented
from metarl_cli.config.compose import compose, files_of
from metarl_cli.config.schema import SECTIONS, TrainConfig
from metarl_cli.core.plugins import conf_file

WORD = re.compile(r"[^\W_]{3,}")
SAME = 0.6  # share of common words from which two texts say the same


@dataclass(frozen=True)
class Setting:
    """A key of a configuration, or a group of them, which then has no value."""

    key: str
    value: Any
    text: str
    is_group: bool = False


def explain_settings(
    config_name: str, overrides: Sequence[str] = (), *, schema: type
) -> list[Setting]:
    """Return all settings of a primary config as a user would run it, in order, explained.

    What a key means says the docstring of what it fills; what else there is to know of its value,
    the comment in the YAML that sets it or, where there is none, in the one that this inherits.

    Args:
        config_name: the primary config in `conf/`.
        overrides: as typed.
        schema: dataclass of the primary config's fixed keys.
    """
    cfg = compose(config_name, overrides)
    remarks = _remarks(config_name, overrides)
    return list(_settings(cfg, "", remarks, _meanings(schema)))


def _remarks(config_name: str, overrides: Sequence[str]) -> dict[str, list[str]]:
    """Return the comments on each key, those of the file that is read last at the end."""
    found: dict[str, list[str]] = {}
    for part in files_of(config_name, overrides):
        file = conf_file(f"{part.path}.yaml")
        for key, text in (comments_of(file) if file else {}).items():
            place = f"{part.place}.{key}" if part.place else key
            if place.partition(".")[0] not in part.left_out:
                found.setdefault(place, []).append(text)
    return found


def _settings(
    node: DictConfig, prefix: str, remarks: Mapping[str, list[str]], meanings: Mapping[str, str]
) -> Iterator[Setting]:
    names = [str(name) for name in node if name != "_target_"]
    for name in sorted(names, key=lambda name: _is_group(node, name)):  # single keys come first
        key = f"{prefix}{name}"
        text = joined(meanings.get(name, ""), remarks.get(key, []))
        value = _value(node, name)
        if _is_group(node, name):
            target = value.get("_target_")
            known = documented(target) if isinstance(target, str) else None
            summary = joined(known.summary if known else "", [text] if text else [])
            yield Setting(key, None, summary, is_group=True)
            inside = _meanings_of_section(name) if known is None else known.arguments
            yield from _settings(value, f"{key}.", remarks, inside)
        else:
            plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            yield Setting(key, plain, text)


def _is_group(node: DictConfig, name: str) -> bool:
    value = _value(node, name)
    return isinstance(value, DictConfig) and len(value) > 0


def _value(node: DictConfig, name: str) -> Any:
    return "???" if OmegaConf.is_missing(node, name) else node[name]


def joined(meaning: str, remarks: Sequence[str]) -> str:
    """Join what a key means and what is remarked on its value, without saying a thing twice."""
    texts = [meaning.rstrip(".")]
    if remarks:
        inherited = [re.split(r" \(|; ", text)[0] for text in remarks[:-1]]
        texts += [*([inherited[0]] if inherited else []), remarks[-1].rstrip(".")]
    kept: list[str] = []
    for text in filter(None, texts):
        if any(_words(text) <= _words(other) for other in kept):
            continue
        kept = [other for other in kept if not _alike(other, text)] + [text]
    return "; ".join(kept)


def _alike(text: str, other: str) -> bool:
    """Whether most words of the shorter text stand in the longer one."""
    words, others = _words(text), _words(other)
    return len(words & others) >= SAME * min(len(words), len(others))


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def _meanings(schema: type) -> dict[str, str]:
    return documented(f"{schema.__module__}.{schema.__qualname__}").arguments


def _meanings_of_section(name: str) -> dict[str, str]:
    """Return the explanations of a section that a dataclass of the schema describes."""
    found = SECTIONS.get(name) or typing.get_type_hints(TrainConfig).get(name)
    return _meanings(found) if inspect.isclass(found) else {}
