"""Every key of every config is explained, by the file and the class that it is from."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from metarl_cli.command_list import COMMANDS, RESUME, TUNE_REPORT
from metarl_cli.commands.words.explanations import explain_settings, joined
from metarl_cli.config.compose import files_of, options_of
from metarl_cli.config.schema import TrainConfig
from metarl_cli.core.paths import conf_dir

GROUPS = ("env", "algo", "network", "budget", "experiment")
OPTIONS = [f"{group}={name}" for group in GROUPS for name in options_of(group)]
LOGGERS = [f"logger=[{name}]" for name in options_of("logger")]
CONFIGURED = [command for command in (*COMMANDS.values(), RESUME, TUNE_REPORT) if command.schema]


def unexplained(config: str, overrides: list[str], schema: type) -> list[str]:
    settings = explain_settings(config, overrides, schema=schema)
    assert settings
    return [item.key for item in settings if not item.is_group and not re.search(r"\w", item.text)]


@pytest.mark.parametrize("option", [*OPTIONS, *LOGGERS])
def test_every_key_of_every_option_is_explained(option: str) -> None:
    assert unexplained("train", [option], TrainConfig) == []


@pytest.mark.parametrize("command", CONFIGURED, ids=lambda command: command.config)
def test_every_key_of_every_command_is_explained(command) -> None:
    assert unexplained(command.config, [], command.schema) == []


def test_no_yaml_is_left_out() -> None:
    reached = {part.path for option in [*OPTIONS, *LOGGERS] for part in files_of("train", [option])}
    reached |= {command.config for command in CONFIGURED}
    paths = {path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml")}
    written = {path.with_suffix("").as_posix() for path in paths if path.parts[0] != "hydra"}
    assert written <= reached


def explained(*overrides: str) -> dict[str, str]:
    return {s.key: s.text for s in explain_settings("train", overrides, schema=TrainConfig)}


def test_inherited_comment_stands_before_the_remark_of_who_changes_the_value() -> None:
    texts = explained("algo=cavia")
    assert texts["algo.trpo.max_kl"] == (
        "delta, the largest mean KL divergence of a step; "
        "paper: 0.01; the meta-gradient is accurate enough for longer steps"
    )
    assert texts["algo.inner.step_size"] == "alpha (paper: 1 for navigation, 10 for locomotion)"
    assert texts["algo.context_dim"].startswith("number of context parameters")


def test_comments_of_a_preset_give_way_with_its_values() -> None:
    text = "theirs: 0.5, with which later steps overshoot"
    preset = "experiment=maml/point_nav"
    assert text in explained(preset)["algo.inner.later_ratio"]
    assert text not in explained(preset, "algo=maml")["algo.inner.later_ratio"]


def test_sections_and_classes_are_explained_as_a_whole() -> None:
    texts = explained("env=point_nav")
    assert texts["env"].startswith("MAML's 2D navigation")
    assert texts["env.tasks.train_seed"] == "draws the training set if finite"


@dataclass
class Case:
    meaning: str
    remarks: list[str]
    text: str


@pytest.mark.parametrize(
    "case",
    [
        Case("", [], ""),
        Case("Size of it.", [], "Size of it"),
        Case("", ["size (paper: 3)"], "size (paper: 3)"),
        Case("size of it", ["the size of it, m"], "the size of it, m"),
        Case("weight of the error", ["paper: 3"], "weight of the error; paper: 3"),
        Case("", ["alpha (paper: 1)", "paper: 2"], "alpha; paper: 2"),
    ],
)
def test_nothing_is_said_twice(case: Case) -> None:
    assert joined(case.meaning, case.remarks) == case.text
