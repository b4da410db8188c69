"""Plain JSON values as dataclasses: checked against the annotations, the first fault named."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")
_SCALARS = (bool, int, float, str)


def typed(hint: type[T], value: Any, where: str) -> T:
    """Return `value` as what a type says; keys that a dataclass does not have are left out.

    Args:
        hint: a dataclass, `list[X]`, `dict[str, X]`, `X | None` or a plain type. An integer may
            stand for a float.
        value: what `json.loads` returned.
        where: its name in errors.

    Raises:
        ValueError: `<where> must be <what>`, or a field is missing.
    """
    return typing.cast(T, _typed(hint, value, where))


def _typed(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (present,) = (x for x in arguments if x is not type(None))
        return None if value is None else _typed(present, value, where)
    if dataclasses.is_dataclass(hint):
        return _fields(hint, _require(dict, value, where), where)
    if origin is list:
        items = enumerate(_require(list, value, where))
        return [_typed(arguments[0], item, f"{where}[{i}]") for i, item in items]
    if origin is dict:
        items = _require(dict, value, where).items()
        return {key: _typed(arguments[1], item, f"{where}.{key}") for key, item in items}
    if hint is float and type(value) is int:
        return float(value)
    return value if hint is Any else _require(hint, value, where)


def _fields(cls: Any, values: dict[str, Any], where: str) -> Any:
    hints, given = typing.get_type_hints(cls), {}
    for field in dataclasses.fields(cls):
        if field.name in values:
            name = f"{where}.{field.name}"
            given[field.name] = _typed(hints[field.name], values[field.name], name)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}.{field.name} is missing")
    return cls(**given)


def _require(kind: Any, value: Any, where: str) -> Any:
    exact = type(value) is kind if kind in _SCALARS else isinstance(value, kind)
    if not exact:
        words = {dict: "a mapping", list: "a list", str: "text", float: "a number"}
        raise ValueError(f"{where} must be {words.get(kind, kind.__name__)}")
    return value
