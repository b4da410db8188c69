"""Frozen configurations of earlier versions, brought up to the present one.

A run stays evaluable when names change: what a version renamed, dropped or began to require stands
here, and nowhere in the code that the settings are for. A frozen config holds the number of its
version; `STEPS[n]` leads from version n to n + 1, and one without a number is of version 0.
A step that has been released is never changed: add another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metarl_cli.core.errors import UserError

VERSION_KEY = "version"


@dataclass(frozen=True)
class Group:
    """Settings that got a class of their own.

    Args:
        target: the class.
        keys: its settings.
    """

    target: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What one version changed.

    A holder of settings is a class, by its path after the step and without the leading
    `metarl_cli.`, or a section by its place, such as `budget`.

    Args:
        moved: old path of a class -> new one.
        renamed: holder -> {old key: new key}.
        required: holder -> {key: what a config without it, or with null, meant}.
        dropped: holder -> {key: the only value that later code can still do}.
        grouped: holder -> {key: class of the settings that now stand in this group}.
    """

    moved: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    required: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dropped: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grouped: Mapping[str, Mapping[str, Group]] = field(default_factory=dict)


_ROOMS = {
    "algorithms.dream.Bottleneck": "algorithms.dream.dream.Bottleneck",
    "algorithms.dream.Dream": "algorithms.dream.dream.DREAM",
    "algorithms.hyperx.Exploration": "algorithms.varibad.hyperx.Exploration",
    "algorithms.hyperx.HyperX": "algorithms.varibad.hyperx.HyperX",
    "algorithms.informed.Informed": "algorithms.import_.import_.IMPORT",
    "algorithms.maml.MAML": "algorithms.maml.maml.MAML",
    "algorithms.pearl.Collection": "algorithms.pearl.pearl.Collection",
    "algorithms.pearl.PEARL": "algorithms.pearl.pearl.PEARL",
    "algorithms.task_inference.Supervision": "algorithms.varibad.task_inference.Supervision",
    "algorithms.task_inference.TaskInference": "algorithms.varibad.task_inference.TaskInference",
    "algorithms.varibad.Elbo": "algorithms.varibad.varibad.Elbo",
    "algorithms.varibad.VariBAD": "algorithms.varibad.varibad.VariBAD",
    "envs.bandit.BernoulliBandit": "envs.tabular.bandit.BernoulliBandit",
    "envs.block_push.BlockPush": "envs.mujoco.block_push.BlockPush",
    "envs.bus_city.BusCity": "envs.grids.bus_city.BusCity",
    "envs.cooking.Cooking": "envs.grids.cooking.Cooking",
    "envs.gridworld.GridNavigation": "envs.grids.gridworld.GridNavigation",
    "envs.maze.Maze": "envs.maze.maze.Maze",
    "envs.maze.VectorView": "envs.maze.maze.VectorView",
    "envs.maze3d.CameraView": "envs.maze.maze3d.CameraView",
    "envs.mujoco.MujocoTaskEnv": "envs.mujoco.locomotion.Locomotion",
    "envs.objectives.Direction": "envs.mujoco.objectives.Direction",
    "envs.objectives.DiscGoal": "envs.mujoco.objectives.DiscGoal",
    "envs.objectives.Forward": "envs.mujoco.objectives.Forward",
    "envs.objectives.Heading": "envs.mujoco.objectives.Heading",
    "envs.objectives.SemicircleGoal": "envs.mujoco.objectives.SemicircleGoal",
    "envs.objectives.Velocity": "envs.mujoco.objectives.Velocity",
    "envs.point.PointNav": "envs.points.point.PointNav",
    "envs.point.PointSemicircle": "envs.points.point.PointSemicircle",
    "envs.sign.SignNav": "envs.sign.sign.SignNav",
    "envs.tabular_mdp.TabularMDP": "envs.tabular.tabular_mdp.TabularMDP",
}

_BELIEF_UPDATES = Group(
    "algorithms.varibad.belief_learner.BeliefUpdates",
    ("learning_rate", "batch", "updates", "buffer_trials", "max_grad_norm"),
)

_INNER_LOOP = Group(
    "algorithms.maml.inner_loop.InnerLoop",
    ("steps", "step_size", "later_ratio", "discount", "gae_lambda"),
)

STEPS: tuple[Step, ...] = (
    Step(
        moved=_ROOMS,
        required={
            "algorithms.varibad.varibad.VariBAD": {"bounded_mean": False},
            "algorithms.varibad.hyperx.HyperX": {"bounded_mean": False},
            "algorithms.varibad.varibad.Elbo": {"state_weight": 0.0, "warmup_steps": 0},
            "learners.ppo.PPO": {"learning_rate_decay": 1.0},
        },
        grouped={
            "algorithms.varibad.varibad.Elbo": {"learner": _BELIEF_UPDATES},
            "algorithms.varibad.task_inference.Supervision": {"learner": _BELIEF_UPDATES},
        },
    ),
    Step(
        renamed={
            "algorithms.maml.maml.MAML": {
                "inner_steps": "steps",
                "inner_lr": "step_size",
                "later_lr_ratio": "later_ratio",
            },
        },
        required={"algorithms.maml.maml.MAML": {"dense_training": False}},
        grouped={"algorithms.maml.maml.MAML": {"inner": _INNER_LOOP}},
    ),
    Step(required={"budget": {"checkpoint_minutes": 5.0}}),
)


def migrate(values: Mapping[str, Any], steps: Sequence[Step] = STEPS) -> dict[str, Any]:
    """Return the settings of a frozen config as the present version would have frozen them."""
    settings = dict(values)
    version = settings.pop(VERSION_KEY, 0)
    if type(version) is not int or not 0 <= version <= len(steps):
        raise UserError(
            f"this config is of version {version}, but this metarl knows versions up to "
            f"{len(steps)}: use a later one"
        )
    for step in steps[version:]:
        settings = _through(settings, step, "")
    return settings


def _through(tree: Any, step: Step, place: str) -> Any:
    if isinstance(tree, list):
        return [_through(item, step, place) for item in tree]
    if not isinstance(tree, dict):
        return tree
    settings = {
        key: _through(item, step, f"{place}.{key}".lstrip(".")) for key, item in tree.items()
    }
    holders = [place]
    if "_target_" in settings:
        prefix, _, name = str(settings["_target_"]).partition(".")
        name = step.moved.get(name, name) if prefix == "metarl_cli" else ""
        if name:
            settings["_target_"] = f"{prefix}.{name}"
        holders.append(name)
    for holder in holders:
        _rename(settings, step.renamed.get(holder, {}))
        _require(settings, step.required.get(holder, {}))
        _drop(settings, step.dropped.get(holder, {}), place)
        _group(settings, step.grouped.get(holder, {}))
    return settings


def _rename(settings: dict[str, Any], names: Mapping[str, str]) -> None:
    for old, new in names.items():
        if old in settings:
            settings[new] = settings.pop(old)


def _require(settings: dict[str, Any], meanings: Mapping[str, Any]) -> None:
    for key, meaning in meanings.items():
        if settings.get(key) is None:
            settings[key] = meaning


def _drop(settings: dict[str, Any], possible: Mapping[str, Any], place: str) -> None:
    for key, only in possible.items():
        if (value := settings.pop(key, only)) != only:
            raise UserError(f"{place}.{key}={value} of this run is no longer possible, only {only}")


def _group(settings: dict[str, Any], groups: Mapping[str, Group]) -> None:
    for key, group in groups.items():
        inside = {name: settings.pop(name) for name in group.keys if name in settings}
        settings[key] = {"_target_": f"metarl_cli.{group.target}", **inside}
