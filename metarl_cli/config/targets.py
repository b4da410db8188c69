"""What a `_target_` may name: which package, which room of ours, which type the slot asks for.

A configuration may come from a stranger, in a run's folder. So a class may stand only where the
program means to build one of its kind: environments under `env`, algorithms and their learners
under `algo`, networks under `network`, loggers under `logger`; and below these only where the
constructor's annotation names the class, a parent of it, or a protocol whose methods it has.
"""

from __future__ import annotations

import inspect
import os
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Union

from hydra.utils import get_object

from metarl_cli.config.types import MAPPINGS, SEQUENCES, annotations_of
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import one_line

# Room of the outermost class -> rooms of the classes below it.
ROOMS = {
    "algorithms": ("algorithms", "learners"),
    "envs": ("envs",),
    "learners": ("learners",),
    "loggers": ("loggers",),
    "networks": ("networks",),
}
ROOM_OF_GROUP = {"algo": "algorithms", "env": "envs", "logger": "loggers", "network": "networks"}
EXTRAS = {"tensorboardX": "tensorboard"}  # what some class imports: the extra that brings it
UNIONS = (Union, types.UnionType)
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def locate(
    name: Any, *, key: str, plugins: Iterable[str], rooms: Iterable[str] = tuple(ROOMS)
) -> Any:
    """Import the class that a `_target_` names, if its package is ours or a plugin.

    Both the written path and the place of definition must be allowed, so that no path through an
    imported module reaches foreign code.

    Args:
        name: dotted path of a class.
        key: of the group of settings that `name` was found in, for the error.
        plugins: the packages that the user trusts.
        rooms: of ours, where the class may be at home; checked before anything is imported.
    """
    allowed = {"metarl_cli", *plugins}
    if not isinstance(name, str) or name.partition(".")[0] not in allowed:
        raise UserError(
            f"{key}._target_: {name} is outside metarl_cli; to allow a module of your own, add "
            f"plugins=[{str(name).partition('.')[0]}]"
        )
    _require_room(name, key, rooms)
    found = _import(name, key)
    home = str(getattr(found, "__module__", ""))
    ours = home.partition(".")[0] == "metarl_cli"  # of functions, only the user's own may build
    kinds = type if ours else type | types.FunctionType
    if home.partition(".")[0] not in allowed or not isinstance(found, kinds):
        raise UserError(f"{key}._target_: {name} is not a class of {', '.join(sorted(allowed))}")
    _require_room(f"{home}.{found.__qualname__}", key, rooms)
    return found


def parameters_of(target: Any, *, key: str) -> dict[str, inspect.Parameter]:
    """Return the named arguments of a class or function."""
    try:
        parameters = inspect.signature(target).parameters
    except ValueError as error:
        raise UserError(
            f"{key}._target_: {target} does not say which arguments it takes"
        ) from error
    return {name: item for name, item in parameters.items() if item.kind not in VARIADIC}


def require_fitting_targets(values: Any, key: str, *, plugins: Iterable[str]) -> None:
    """Raise a `UserError` for the first class in a tree of settings that its slot does not allow.

    Nothing is built; modules are imported only after their place has been found right.

    Args:
        values: plain settings, resolved.
        key: their place in the configuration, whose first word says what kind is meant; for
            settings without a known place their own class does.
        plugins: the packages that the user trusts.
    """
    group, _, rest = key.partition(".")
    name = values.get("_target_") if isinstance(values, dict) else None
    room = ROOM_OF_GROUP.get(group) or str(name).removeprefix("metarl_cli.").partition(".")[0]
    rooms = ROOMS.get(room, tuple(ROOMS))
    _Walk(tuple(plugins), rooms).through(values, key, _type_of_group(group, within=bool(rest)))


class _Anything:
    """The type of slots about which nothing is said; their room is what is checked."""


def _type_of_group(group: str, *, within: bool) -> Any:
    """What the classes directly in a group of the configuration must be."""
    from metarl_cli.core.protocols import Algorithm, Logger  # imports torch

    if group == "logger":
        return Logger if within else dict[str, Logger]
    return Algorithm if group == "algo" else _Anything


class _Walk:
    """Goes through a tree of settings together with the annotations of what it is for."""

    def __init__(self, plugins: tuple[str, ...], rooms: tuple[str, ...]) -> None:
        self._plugins, self._rooms = plugins, rooms

    def through(self, values: Any, key: str, slot: Any) -> None:
        if isinstance(values, list):
            item = _item_of(slot, SEQUENCES)
            for index, value in enumerate(values):
                self.through(value, f"{key}[{index}]", item)
        elif isinstance(values, dict) and "_target_" in values:
            self._through_arguments(values, key, slot)
        elif isinstance(values, dict):
            item = _item_of(slot, MAPPINGS)
            for name, value in values.items():
                self.through(value, f"{key}.{name}", item)

    def _through_arguments(self, values: dict[str, Any], key: str, slot: Any) -> None:
        name = values["_target_"]
        wanted = list(_classes_in(slot))
        if not wanted:
            raise UserError(f"{key}._target_: plain values stand here, not {name}")
        target = locate(name, key=key, plugins=self._plugins, rooms=self._rooms)
        hints = annotations_of(target)
        made = target if inspect.isclass(target) else hints.get("return")
        if not any(_is_a(made, option) for option in wanted):
            kinds = " or ".join(option.__name__ for option in wanted)
            raise UserError(f"{key}._target_: {name} is no {kinds}")
        for argument, value in values.items():
            self.through(value, f"{key}.{argument}", hints.get(argument))


def _require_room(name: str, key: str, rooms: Iterable[str]) -> None:
    package, _, rest = name.partition(".")
    if package == "metarl_cli" and rest.partition(".")[0] not in rooms:
        raise UserError(f"{key}._target_: {name} is none of {', '.join(rooms)}")


def _import(name: str, key: str) -> Any:
    try:
        return get_object(name)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, ModuleNotFoundError) and cause.name in EXTRAS:
            extra = f"pip install 'metarl-cli[{EXTRAS[cause.name]}]'"
            raise UserError(f"{key} needs {cause.name}: {extra}") from error
        missing = isinstance(cause, ImportError | AttributeError | ValueError)
        problem = "there is no" if missing else "cannot import"
        if graphics := os.environ.get("MUJOCO_GL"):  # a wrong one makes importing mujoco fail
            name = f"{name} with MUJOCO_GL={graphics}"
        raise UserError(f"{key}._target_: {problem} {name} ({one_line(cause)})") from error


def _classes_in(slot: Any) -> Iterator[type]:
    """The classes that an annotation names, one by one; none if it is for plain values."""
    if typing.get_origin(slot) in UNIONS:
        for option in typing.get_args(slot):
            yield from _classes_in(option)
    elif inspect.isclass(slot) and slot.__module__ not in ("builtins", "typing", "collections.abc"):
        yield slot


def _item_of(slot: Any, containers: tuple[Any, ...]) -> Any:
    """Annotation of the items of a list, or of the values of a mapping, if the slot says it."""
    options = typing.get_args(slot) if typing.get_origin(slot) in UNIONS else (slot,)
    for option in options:
        items = [item for item in typing.get_args(option) if item is not Ellipsis]
        if typing.get_origin(option) in containers and items:
            return items[-1]
    return None


def _is_a(made: Any, wanted: type) -> bool:
    """Whether a class is, or a function says that it returns, what a slot asks for."""
    if wanted is _Anything:
        return True
    if not inspect.isclass(made):
        return False
    if getattr(wanted, "_is_protocol", False):
        methods = _methods_of(wanted)
        return bool(methods) and all(callable(getattr(made, name, None)) for name in methods)
    return issubclass(made, wanted)


def _methods_of(protocol: type) -> set[str]:
    return {
        name
        for parent in protocol.__mro__
        if getattr(parent, "_is_protocol", False)
        for name, item in vars(parent).items()
        if inspect.isfunction(item) and not name.startswith("_")
    }
