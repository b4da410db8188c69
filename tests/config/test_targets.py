"""A class stands only where the program means to build one of its kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from metarl_cli.config.build import build
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import UserError

JSONL = "metarl_cli.loggers.jsonl.JsonlLogger"
WANDB = "metarl_cli.loggers.wandb.WandbLogger"
MLP = "metarl_cli.networks.mlp.MLP"
PPO = "metarl_cli.learners.ppo.PPO"
POINT = "metarl_cli.envs.points.point.PointNav"
DIRECTION = "metarl_cli.envs.mujoco.objectives.Direction"


def refusals(place: str, node: dict[str, Any]) -> list[str]:
    """Put a node at a place of a composed config; return how `check` and `build` refuse it."""
    lines = []
    for refuse in (check, lambda cfg: build(cfg[place.partition(".")[0]])):
        cfg = compose("train", ["env=cheetah_vel", "algo=maml"])
        OmegaConf.update(cfg, place, node, merge=False, force_add=True)
        with pytest.raises(UserError) as caught:
            refuse(cfg)
        lines.append(str(caught.value))
    return lines


@pytest.mark.parametrize(
    ("place", "target", "line"),
    [
        ("algo.trpo", JSONL, "none of algorithms, learners"),
        ("algo.trpo", WANDB, "none of algorithms, learners"),
        ("algo.trpo", PPO, "is no TRPO"),
        ("algo.trpo", "metarl_cli.algorithms.maml.maml.MAML", "is no TRPO"),
        ("algo.inner", "metarl_cli.learners.trpo.TRPO", "is no InnerLoop"),
        ("algo.inner", JSONL, "none of algorithms, learners"),
        ("algo.inner.step_size", "metarl_cli.learners.trpo.TRPO", "plain values stand here"),
        ("algo.network", MLP, "none of algorithms, learners"),
        ("algo", "metarl_cli.algorithms.maml.inner_loop.InnerStep", "is no Algorithm"),
        ("algo", POINT, "none of algorithms, learners"),
        ("env.objective", POINT, "is no Objective"),
        ("env.objective", JSONL, "none of envs"),
        ("env.reset_noise.position", DIRECTION, "plain values stand here"),
        ("env", MLP, "none of envs"),
        ("network", JSONL, "none of networks"),
        ("network.hidden", MLP, "plain values stand here"),
    ],
)
def test_class_of_another_kind_is_refused_in_one_line(place: str, target: str, line: str) -> None:
    referred_to = {"steps": 1} if place == "algo.inner" else {}
    for refusal in refusals(place, {"_target_": target} | referred_to):
        assert refusal.startswith(f"{place}._target_: ")
        assert line in refusal


@pytest.mark.parametrize("target", [MLP, "metarl_cli.loggers.gif.write_gif", POINT])
def test_only_loggers_stand_among_the_loggers(target: str) -> None:
    cfg = compose("train", ["logger=[]"])
    OmegaConf.update(cfg, "logger.mine", {"_target_": target}, force_add=True)
    for refuse in (check, lambda cfg: build(cfg.logger.mine)):
        with pytest.raises(UserError, match=r"^logger\.mine\._target_: "):
            refuse(cfg)


def test_nothing_is_imported_for_a_class_of_the_wrong_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metarl_cli.config.targets.get_object", refuse_to_import)
    with pytest.raises(UserError, match="none of envs"):
        build(OmegaConf.create({"env": {"_target_": JSONL, "path": "x"}}).env)


def refuse_to_import(name: str) -> None:
    raise AssertionError(name)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the source of the module `my_package`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    return lambda source: (tmp_path / "my_package.py").write_text(source) and None


def test_plugin_fills_slots_of_its_own_types_and_of_ours(plugin: Callable[[str], None]) -> None:
    plugin(
        "from metarl_cli.learners.trpo import TRPO\n"
        "class Part:\n    def __init__(self, size: int): self.size = size\n"
        "class Small(Part): pass\n"
        "def small(size: int) -> Small: return Small(size)\n"
        "class Env:\n"
        "    def __init__(self, part: Part | None, parts: list[Part], named: dict[str, Part]):\n"
        "        self.parts = [part, *parts, *named.values()]\n"
    )
    node = {
        "_target_": "my_package.Env",
        "part": {"_target_": "my_package.Small", "size": 1},
        "parts": [{"_target_": "my_package.small", "size": 2}],
        "named": {"third": {"_target_": "my_package.Part", "size": 3}},
    }
    cfg = OmegaConf.create({"plugins": ["my_package"], "env": node})
    assert [part.size for part in build(cfg.env).parts] == [1, 2, 3]
    cfg.env.part._target_ = "my_package.Env"
    with pytest.raises(UserError, match=r"^env\.part\._target_: my_package\.Env is no Part"):
        build(cfg.env)
