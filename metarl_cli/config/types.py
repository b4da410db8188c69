"""Compare plain YAML values with Python type annotations."""

from __future__ import annotations

import collections.abc
import inspect
import math
import types
import typing
from typing import Any, Literal, Union

SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
MAPPINGS = (dict, collections.abc.Mapping)
SCALARS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def annotations_of(target: Any) -> dict[str, Any]:
    """Return the resolved annotations of a class's constructor or of a function.

    An annotation that only exists for type checkers is left out: its value is not compared.
    """
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    raw = dict(getattr(function, "__annotations__", {}))
    scope = dict(getattr(function, "__globals__", {}))
    resolved = {}
    for name, annotation in raw.items():
        try:
            resolved[name] = _resolve(annotation, scope)
        except (NameError, TypeError, SyntaxError, AttributeError):
            continue
    return resolved


def matches(value: Any, annotation: Any) -> bool:
    """Return whether a plain value fits; an integer fits a float, 3e6 fits an int, NaN nothing."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(matches(value, option) for option in arguments)
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in arguments)
    if annotation in (None, type(None)):
        return value is None
    if annotation in SCALARS:
        return _matches_scalar(value, annotation)
    if (origin or annotation) in SEQUENCES:
        return isinstance(value, list) and _match_items(value, origin, arguments)
    if (origin or annotation) in MAPPINGS:
        return isinstance(value, dict)
    if inspect.isclass(origin or annotation) and annotation is not object:
        return _matches_class(value, origin or annotation)
    return True


def is_plain(annotation: Any) -> bool:
    """Return whether YAML can hold such a value: scalars, choices and lists of them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType) or (origin or annotation) in SEQUENCES:
        return all(is_plain(item) for item in arguments if item is not Ellipsis)
    return origin is Literal or annotation in SCALARS or annotation is type(None)


def describe(annotation: Any) -> str:
    """Say in words what fits the annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in arguments)
    if annotation in (None, type(None)):
        return "null"
    if annotation in SCALARS:
        return SCALARS[annotation]
    if (origin or annotation) in SEQUENCES:
        return _describe_sequence(origin, arguments)
    return "a group of settings"


def as_integer(value: Any, annotation: Any) -> Any:
    """Turn a float such as 3e6 into an int where only an int fits; else return it unchanged."""
    options = typing.get_args(annotation) or (annotation,)
    if isinstance(value, float) and int in options and float not in options:
        return int(value)
    return value


def _resolve(annotation: Any, scope: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    # Source text of our own or the user's module, already imported: not configuration.
    return typing.get_type_hints(types.SimpleNamespace(__annotations__={"it": annotation}), scope)[
        "it"
    ]


def _matches_scalar(value: Any, annotation: Any) -> bool:
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    return annotation is float or isinstance(value, int) or value.is_integer()


def _match_items(values: list[Any], origin: Any, arguments: tuple[Any, ...]) -> bool:
    if not arguments:
        return True
    if origin is tuple and arguments[-1] is not Ellipsis:
        return len(values) == len(arguments) and all(map(matches, values, arguments))
    return all(matches(value, arguments[0]) for value in values)


def _matches_class(value: Any, expected: type) -> bool:
    if expected.__module__ == "pathlib":
        return isinstance(value, str)
    return isinstance(value, dict)


def _describe_sequence(origin: Any, arguments: tuple[Any, ...]) -> str:
    if not arguments:
        return "a list"
    if origin is tuple and arguments[-1] is not Ellipsis:
        return "a list of " + " and ".join(describe(item) for item in arguments)
    return f"a list, each item {describe(arguments[0])}"
