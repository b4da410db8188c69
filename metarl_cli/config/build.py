"""Configuration for programs and notebooks: compose it, check it, build objects from it.

cfg = compose("train", ["env=point_nav", "algo=maml"])
check(cfg)
env = build(cfg.env, num_envs=8)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from metarl_cli.config.aliases import hint
from metarl_cli.config.check import check, plugins_of
from metarl_cli.config.compose import compose, options_of
from metarl_cli.config.schema import SECTIONS, BenchConfig, EvalConfig, ResumeConfig, TrainConfig
from metarl_cli.config.targets import locate, parameters_of, require_fitting_targets
from metarl_cli.core.errors import UserError
from metarl_cli.core.words import one_line, suggest

__all__ = [
    "BenchConfig",
    "EvalConfig",
    "ResumeConfig",
    "TrainConfig",
    "build",
    "check",
    "compose",
    "flatten",
    "merge_overrides",
]


def build(node: Any, **runtime: Any) -> Any:
    """Build the object that a node's `_target_` names, nested nodes first.

    Args:
        node: a mapping with `_target_` and the arguments of that class. Sections read by others
            (`tasks`, `meta_test`) are left out unless the class takes them.
        runtime: objects known only at run time; passed as they are, they win over the node.
    """
    if not isinstance(node, DictConfig):
        node = OmegaConf.create(node)
    if "_target_" not in node:
        raise UserError(f"{_name(node)}._target_ is missing: which class should be built?")
    plugins = plugins_of(node)
    values: Any = OmegaConf.to_container(node, resolve=True)
    require_fitting_targets(values, _name(node), plugins=plugins)
    target = locate(node["_target_"], key=_name(node), plugins=plugins)
    accepted = parameters_of(target, key=_name(node))
    kept = {k: v for k, v in values.items() if k not in SECTIONS or k in accepted}
    try:
        return instantiate(kept, _partial_=True, _convert_="all")(**runtime)
    except (ValueError, TypeError) as error:
        raise UserError(f"{_name(node)}: {one_line(error)}") from error
    except InstantiationException as error:
        raise _nested_error(error, _name(node)) from error


def flatten(cfg: Any) -> dict[str, Any]:
    """Return dotted keys and scalars, lists kept whole as text: what experiment trackers accept."""
    tree = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg
    return dict(_leaves(tree, ""))


def leaves(cfg: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values, lists kept as lists."""
    yield from _leaves(OmegaConf.to_container(cfg, resolve=True), "", keep_lists=True)


def merge_overrides(frozen: DictConfig, overrides: DictConfig) -> DictConfig:
    """Apply a tree of settings to a frozen config; unknown keys and other types are refused.

    A frozen config may come from a stranger: its `plugins` are dropped, the user names them anew.
    """
    merged = OmegaConf.create(OmegaConf.to_container(frozen, resolve=True))
    assert isinstance(merged, DictConfig)
    changes = OmegaConf.to_container(overrides, resolve=True)
    assert isinstance(changes, dict)
    known = flatten(merged)
    merged["plugins"] = changes.pop("plugins", [])
    if isinstance(changes.get("logger"), str | list):
        merged["logger"] = _loggers(merged["logger"], changes.pop("logger"))
    for key, value in _leaves(changes, "", keep_lists=True):
        _apply(merged, key, value, known)
    return merged


def _loggers(known: DictConfig, chosen: str | list[Any]) -> dict[str, Any]:
    """Return the settings of the loggers that are named: those of the run, or else of our YAML."""
    nodes: dict[str, Any] = {}
    for name in [chosen] if isinstance(chosen, str) else chosen:
        if name not in known and name not in (options := options_of("logger")):
            raise UserError(f"there is no logger={name}.{suggest(str(name), options)}")
        among = known if name in known else compose("train", [f"logger=[{name}]"]).logger
        nodes[name] = among[name]
    return nodes


def _apply(merged: DictConfig, key: str, value: Any, known: dict[str, Any]) -> None:
    parent, _, name = key.rpartition(".")
    holder = OmegaConf.select(merged, parent) if parent else merged
    if not isinstance(holder, DictConfig) or name not in holder:
        raise UserError(f"unknown key {key} in this run's config.{hint(key, known)}")
    old = holder[name]
    if isinstance(old, DictConfig) and not isinstance(value, dict):
        raise UserError(
            f"{key}={value} would exchange a whole group of a finished run; "
            f"only single settings can change, e.g. {next(k for k in known if k.startswith(key))}"
        )
    if name == "_target_":
        raise UserError(f"{key}: the classes of a finished run cannot change")
    holder[name] = _keep_type(key, old, value)


def _keep_type(key: str, old: Any, value: Any) -> Any:
    if old is None or value is None:
        return value
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(old) is int and isinstance(value, float) and value.is_integer():
        return int(value)
    same = isinstance(value, list) if OmegaConf.is_list(old) else type(value) is type(old)
    # A number written as `1` may be a float to its class: `check` knows, this function does not.
    if not same and not (type(old) is int and isinstance(value, float)):
        raise UserError(f"{key} must be like {old!r}, got {value!r}")
    return value


def _leaves(tree: Any, prefix: str, *, keep_lists: bool = False) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, name, keep_lists=keep_lists)
        elif isinstance(value, list | dict) and not keep_lists:
            yield name, str(value)
        else:
            yield name, value


def _name(node: DictConfig) -> str:
    return str(node._get_full_key(None)) or str(node.get("_target_", "config"))


def _nested_error(error: InstantiationException, name: str) -> Exception:
    cause = error.__cause__
    if cause is None or not isinstance(cause, ValueError | TypeError):
        return cause if isinstance(cause, Exception) else UserError(f"{name}: {one_line(error)}")
    where = str(error).partition("full_key: ")[2].split()
    return UserError(f"{'.'.join([name, *where])}: {one_line(cause)}")
