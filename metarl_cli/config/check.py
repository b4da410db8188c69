"""Check a composed configuration before anything is built: one clear line for the first mistake."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import typing
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metarl_cli.config.aliases import hint
from metarl_cli.config.schema import SECTIONS, Node, TrainConfig
from metarl_cli.config.targets import locate, parameters_of, require_fitting_targets
from metarl_cli.config.types import annotations_of, as_integer, describe, is_plain, matches
from metarl_cli.core.errors import UserError
from metarl_cli.core.plugins import installed_plugins
from metarl_cli.core.words import one_line, suggest

META_KEYS = ("_target_", "_partial_")
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check(cfg: DictConfig, schema: type = TrainConfig) -> None:
    """Raise a `UserError` naming the first wrong key; make integers of floats such as `3e6`.

    The fixed keys are compared with the dataclass `schema`, every node with a `_target_` with the
    signature of its class. Arguments that are keyword-only or no plain values may be absent: the
    program passes them at run time. Ranges inside open groups are the business of the
    constructors (see `build`).
    """
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        tree = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(one_line(error)) from error
    if missing:
        raise UserError(f"{missing[0]} has no value: add {missing[0]}=<value>")
    assert isinstance(tree, dict)
    _require_plugins(cfg)
    checker = _Checker(plugins_of(cfg))
    checker.section({str(key): value for key, value in tree.items()}, schema, "")
    for key, value in checker.integers.items():
        OmegaConf.update(cfg, key, value)


def plugins_of(node: Any) -> list[str]:
    """Return the packages that the user trusts: installed plug-ins, and modules that he names.

    They are named at the root of the tree that the node belongs to.
    """
    root = node._get_root() if isinstance(node, DictConfig | ListConfig) else None
    named = root.get("plugins") if isinstance(root, DictConfig) else None
    return [*installed_plugins(), *(map(str, named) if isinstance(named, ListConfig) else ())]


def _require_plugins(cfg: DictConfig) -> None:
    """Refuse a module that cannot be found; whether any of its classes is used is not known yet."""
    named = cfg.get("plugins")
    for name in named if isinstance(named, ListConfig) else ():
        root = str(name).partition(".")[0]
        try:
            found = importlib.util.find_spec(root) is not None
        except (ImportError, ValueError):
            found = False
        if not found:
            raise UserError(f"plugins: there is no module {name} that Python can import")


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


@dataclasses.dataclass
class _Checker:
    plugins: list[str]
    integers: dict[str, int] = dataclasses.field(default_factory=dict)  # key -> corrected value

    def section(self, values: dict[str, Any], schema: type, prefix: str) -> None:
        """Compare a mapping with a dataclass: keys, types, ranges, nested sections."""
        hints = typing.get_type_hints(schema)
        fields = {item.name: item for item in dataclasses.fields(schema)}
        self._refuse_unknown(values, fields, prefix)
        for name, item in fields.items():
            if name not in values:
                if item.default is dataclasses.MISSING:
                    raise UserError(f"{_join(prefix, name)} is missing")
                continue
            self._field(values[name], hints[name], _join(prefix, name), item.metadata)

    def node(self, values: Any, prefix: str) -> None:
        """Compare every group of settings that has a `_target_` with its class, all levels deep."""
        if isinstance(values, list):
            for index, item in enumerate(values):
                self.node(item, f"{prefix}[{index}]")
        if not isinstance(values, dict):
            return
        if "_target_" in values:
            self._arguments(values, prefix)
        for key, value in values.items():
            self.node(value, _join(prefix, str(key)))

    def _field(self, value: Any, hint: Any, key: str, metadata: Any) -> None:
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise UserError(f"{key} must be {describe(hint)}, got {value!r}")
            self.section(value, typing.cast(type, hint), key)
            return
        self._value(value, hint, key)
        # Overrides are settings of an earlier run and checked as parts of it.
        if hint in (Node, Node | None) and value is not None and key != "overrides":
            require_fitting_targets(value, key, plugins=self.plugins)
            self.node(value, key)
            if key in ("env", "algo", "network") and "_target_" not in value:
                raise UserError(f"{key}._target_ is missing: which class should be built?")
        minimum = metadata.get("minimum")
        if minimum is not None and value is not None and value < minimum:
            raise UserError(f"{key} must be at least {minimum}, got {value}")
        maximum = metadata.get("maximum")
        if maximum is not None and value is not None and value > maximum:
            raise UserError(f"{key} must be at most {maximum}, got {value}")

    def _arguments(self, values: dict[str, Any], prefix: str) -> None:
        target = locate(values["_target_"], key=prefix, plugins=self.plugins)
        parameters = parameters_of(target, key=prefix)
        sections = {name: SECTIONS[name] for name in SECTIONS if name not in parameters}
        given = {key: value for key, value in values.items() if key not in META_KEYS}
        self._refuse_unknown(given, [*parameters, *sections], prefix)
        hints = annotations_of(target)
        for key, value in given.items():
            if key in sections:
                self._field(value, sections[key], _join(prefix, key), {})
            elif key in hints:
                self._value(value, hints[key], _join(prefix, key))
        absent = [
            name
            for name, parameter in parameters.items()
            if name not in given and _required(parameter) and is_plain(hints.get(name))
        ]
        if absent and not values.get("_partial_"):
            raise UserError(f"{_join(prefix, absent[0])} is missing")

    def _value(self, value: Any, hint: Any, key: str) -> None:
        if not matches(value, hint):
            shown = "null" if value is None else repr(value)
            choices = [str(item) for item in typing.get_args(hint) if isinstance(item, str)]
            hint_text = suggest(value, choices) if isinstance(value, str) else ""
            raise UserError(f"{key} must be {describe(hint)}, got {shown}.{hint_text}".rstrip("."))
        integer = as_integer(value, hint)
        if type(integer) is not type(value):
            self.integers[key] = integer

    def _refuse_unknown(self, values: Iterable[str], known: Iterable[str], prefix: str) -> None:
        names = list(known)
        for key in values:
            if key not in names:
                options = [_join(prefix, name) for name in names]
                wrong = _join(prefix, str(key))
                raise UserError(f"unknown key {wrong}.{hint(wrong, options)}")


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.kind in POSITIONAL and parameter.default is inspect.Parameter.empty
