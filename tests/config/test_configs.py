"""Every YAML in conf/ composes, passes the check and agrees with the class it configures."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

import metarl_cli.config.naming  # noqa: F401  registers what the folders of runs are named by
from metarl_cli.config import schema
from metarl_cli.config.build import build
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose, options_of
from metarl_cli.config.schema import BenchConfig
from metarl_cli.config.sources import groups_of
from metarl_cli.config.targets import locate
from metarl_cli.core.paths import conf_dir

GROUPS = ("env", "algo", "network", "budget", "experiment", "logger")
CHOICES = [f"{group}={option}" for group in GROUPS for option in options_of(group)]
ROOTS = {
    "train": schema.TrainConfig,
    "eval": schema.EvalConfig,
    "film": schema.FilmConfig,
    "curves": schema.CurvesConfig,
    "resume": schema.ResumeConfig,
    "bench": schema.BenchConfig,
    "reproduce": schema.ReproduceConfig,
    "bench_suite": schema.BenchSuiteConfig,
    "publish": schema.PublishConfig,
    "gallery": schema.GalleryConfig,
    "report": schema.ReportConfig,
    "compare": schema.CompareConfig,
    "sync": schema.SyncConfig,
    "tune": schema.TuneConfig,
    "tune_report": schema.TuneReportConfig,
}

MISSING = {
    "eval": ["checkpoint=x"],
    "film": ["checkpoint=x"],
    "resume": ["resume=x"],
    "report": ["runs=[x]"],
    "sync": ["runs=[x]"],
    "tune": ["to=x"],
    "tune_report": ["study=x"],
}


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield tree
        for value in tree.values():
            yield from nodes_of(value)


@pytest.mark.parametrize("choice", CHOICES)
def test_choice_composes_passes_the_check_and_matches_its_classes(choice: str) -> None:
    cfg = compose("train", [choice])
    check(cfg)
    for node in nodes_of(OmegaConf.to_container(cfg, resolve=True)):
        parameters = inspect.signature(locate(node["_target_"], key="", plugins=[])).parameters
        for key in set(node) & set(parameters):
            default = parameters[key].default  # None: a part that is absent
            legal = (inspect.Parameter.empty, None)
            assert default in legal, f"{node['_target_']}: {key} has two defaults"


@pytest.mark.parametrize("name", options_of("env"))
def test_env_is_built_from_its_yaml_and_has_held_out_tasks(name: str) -> None:
    cfg = compose("bench", [f"env={name}"])
    check(cfg, BenchConfig)
    family = build(cfg.env)
    simulation = family.simulate(2)
    assert simulation.num_envs == 2
    assert family.spec.horizon == cfg.env.horizon
    assert cfg.env.tasks.num_test >= 1
    simulation.close()


@pytest.mark.parametrize("root", ROOTS)
def test_primary_config_has_exactly_the_keys_of_its_schema(root: str) -> None:
    values = MISSING.get(root, [])
    cfg = compose(root, values)
    check(cfg, ROOTS[root])
    optional = {"algo", "network", "env_name", "algo_name"}  # empty groups; frozen runs only
    assert {item.name for item in fields(ROOTS[root])} - set(cfg) <= optional


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("choice", ["", "env=point_nav"])
def test_hydra_node_resolves_for_single_runs_and_sweeps(root: str, choice: str) -> None:
    values = MISSING.get(root, [choice] if choice and groups_of(root) else [])
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose(root, [*values, "hydra.job.num=3"], return_hydra_config=True)
    folders = [cfg.hydra.run.dir, cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir]
    assert not any("$" in folder for folder in folders)
    assert cfg.hydra.output_subdir is None
    assert cfg.hydra.job.chdir is not True
    if root == "train":
        env = choice.partition("=")[2] or "cheetah_vel"
        assert cfg.hydra.run.dir.endswith(f"-{env}-maml-s0")
        assert cfg.hydra.sweep.subdir == f"3-{env}-maml-s0"


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def user_conf(tmp_path: Path) -> str:
    """A user's own config folder with a network, an algorithm that prefers it, an experiment."""
    write(tmp_path, "network/wide.yaml", "_target_: metarl_cli.networks.mlp.MLP\nhidden: [9]\n")
    write(
        tmp_path,
        "algo/mine.yaml",
        "defaults:\n  - maml\n  - _self_\n  - override /network@_global_.network: wide\n",
    )
    write(
        tmp_path,
        "experiment/paper/claim.yaml",
        "# @package _global_\ndefaults:\n  - override /env: point_nav\n  - override /algo: mine\n"
        "  - override /budget: short\nseed: 7\nenv: {horizon: 11}\n",
    )
    return f"hydra.searchpath=[file://{tmp_path}]"


def test_algorithm_chooses_its_network_and_the_command_line_wins(user_conf: str) -> None:
    assert compose("train", [user_conf, "algo=mine"]).network.hidden == [9]
    assert compose("train", [user_conf, "algo=mine", "network=mlp"]).network.hidden == [64, 64]


def test_experiment_overrides_groups_and_values_and_the_command_line_wins(user_conf: str) -> None:
    preset = compose("train", [user_conf, "experiment=paper/claim"])
    assert (preset.env.horizon, preset.seed, preset.network.hidden) == (11, 7, [9])
    assert preset.budget.env_steps == 3_000_000
    changed = compose("train", [user_conf, "experiment=paper/claim", "seed=8", "network=mlp"])
    assert (changed.seed, changed.network.hidden) == (8, [64, 64])


@pytest.mark.parametrize("budget", ["smoke", "short"])
@pytest.mark.parametrize("experiment", options_of("experiment")[::5])
def test_budget_named_beside_an_experiment_is_trained(experiment: str, budget: str) -> None:
    plain = compose("train", [f"budget={budget}"]).budget
    cfg = compose("train", [f"experiment={experiment}", f"budget={budget}"])
    assert cfg.budget == plain
    changed = [f"experiment={experiment}", f"budget={budget}", "budget.eval_every=7"]
    assert compose("train", changed).budget == {**plain, "eval_every": 7}


@pytest.mark.parametrize("algo", options_of("algo"))
def test_score_follows_the_trained_gradient_steps_and_is_else_a_mean(algo: str) -> None:
    settings = compose("train", ["env=point_nav", f"algo={algo}"]).algo
    if "inner" not in settings:
        assert "score_after" not in settings.meta_test
        return
    assert settings.meta_test.score_after == settings.inner.steps
    cfg = compose("train", ["env=point_nav", f"algo={algo}", "algo.inner.steps=2"])
    check(cfg)
    assert cfg.algo.meta_test.score_after == 2


def test_network_named_beside_an_experiment_or_algorithm_has_its_own_sizes() -> None:
    assert compose("train", ["experiment=pearl/cheetah_vel"]).network.hidden == [256, 256]
    assert compose("train", ["algo=pearl"]).network.hidden == [300, 300, 300]
    plain = compose("train", ["network=transformer"]).network
    for preset in ("experiment=pearl/cheetah_vel", "experiment=varibad/gridnavi", "algo=pearl"):
        assert compose("train", [preset, "network=transformer"]).network == plain


def test_logger_and_algorithm_named_beside_an_experiment_win(user_conf: str) -> None:
    preset = [user_conf, "experiment=paper/claim"]
    assert list(compose("train", [*preset, "logger=[jsonl]"]).logger) == ["jsonl"]
    assert compose("train", [*preset, "env=nav2d"]).env == compose("train", ["env=nav2d"]).env
    assert compose("train", [*preset, "budget=smoke"]).budget.env_steps == 1
