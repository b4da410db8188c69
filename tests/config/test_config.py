"""Building, checking and merging configurations; mistakes become one helpful line."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

import hydra
import pytest
from helpers import typo
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from metarl_cli.config.build import build, flatten, merge_overrides
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose, options_of
from metarl_cli.config.schema import BenchConfig
from metarl_cli.config.types import as_integer, matches
from metarl_cli.core.errors import UserError
from metarl_cli.core.paths import conf_dir
from metarl_cli.core.words import suggest

POINT = {
    "_target_": "metarl_cli.envs.points.point.PointNav",
    "goal_range": [-0.5, 0.5],
    "max_step": 0.1,
    "reach_tolerance": 0.01,
    "horizon": 5,
}


def mistake(*overrides: str) -> str:
    """Return the line that a user gets for these overrides of `metarl train`."""
    with pytest.raises(UserError) as caught:
        check(compose("train", overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_build_passes_yaml_values_and_runtime_objects() -> None:
    family = build(POINT | {"tasks": {"mode": "fresh"}}, max_step=3.0)
    assert (family.max_step, family.spec.horizon) == (3.0, 5)


def test_build_names_the_key_of_a_value_out_of_range() -> None:
    cfg = OmegaConf.create({"env": POINT | {"horizon": 0}})
    with pytest.raises(UserError, match=r"^env: .*horizon"):
        build(cfg.env)


def test_build_names_the_key_of_a_nested_value_out_of_range() -> None:
    cfg = compose("bench", ["env=cheetah_vel", "env.objective.velocity_range=[2.0,0.0]"])
    with pytest.raises(UserError, match=r"^env\.objective: .*velocity_range"):
        build(cfg.env)


@pytest.mark.parametrize(
    "target",
    ["os.system", "metarl_cli.core.paths.Path", "metarl_cli.cli.sys.exit", "metarl_cli.no.Such", 3],
)
def test_build_refuses_foreign_and_missing_targets_at_any_depth(target: object) -> None:
    for node in ({"_target_": target}, POINT | {"horizon": {"_target_": target}}):
        with pytest.raises(UserError, match="_target_"):
            build(node)


def test_plugins_open_exactly_the_modules_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_package.py").write_text("class Env:\n    def __init__(self, size): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "my_package.Env", "size": 1}
    built = build(OmegaConf.create({"plugins": ["my_package"], "env": node}).env)
    assert type(built).__name__ == "Env"
    with pytest.raises(UserError, match=r"plugins=\[my_package\]"):
        build(OmegaConf.create({"plugins": ["json"], "env": node}).env)


def test_compose_works_inside_a_running_hydra_program(tmp_path: Path) -> None:
    (tmp_path / "outer.yaml").write_text("x: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert compose("train", ["env=point_nav"]).env.horizon == 100
        assert GlobalHydra.instance().hydra is running
        assert hydra.compose("outer").x == 1


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["env=pont_nav"], "there is no env=pont_nav. Did you mean point_nav?"),
        (["algo=mmal"], "there is no algo=mmal. Did you mean maml?"),
        (["logger=[consle]"], "there is no logger=consle. Did you mean console?"),
        (["sed=1"], "unknown key sed. Did you mean seed?"),
        (["env.tasks.num_tset=1"], "num_tset. Did you mean env.tasks.num_test?"),
        (["envv=point_nav"], "unknown key envv. Did you mean env?"),
        (["+foo=1"], "unknown key foo."),
        (["+env.tasks.mood=1"], "Did you mean env.tasks.mode?"),
        (["+algo.inner.stepz=1"], "Did you mean algo.inner.steps?"),
        (["~seed"], "seed is missing"),
        (["~env"], "env is missing"),
        (["~algo.inner.step_size"], "algo.inner.step_size is missing"),
        (["seed=abc"], "seed must be an integer, got 'abc'"),
        (["seed=1.5"], "seed must be an integer, got 1.5"),
        (["seed=null"], "seed must be an integer, got null"),
        (["seed=true"], "seed must be an integer, got True"),
        (["seed=-1"], "seed must be at least 0, got -1"),
        (["seed=???"], "seed has no value"),
        (["seed=${nope}"], "nope"),
        (["device=gpu"], "device must be one of cpu, cuda, auto"),
        (["budget.env_steps=0"], "budget.env_steps must be at least 1, got 0"),
        (["meta_test.score_after=-1"], "meta_test.score_after must be at least 0, got -1"),
        (["algo.meta_test.score_after=1.5"], "algo.meta_test.score_after must be an integer"),
        (["env.tasks.mode=finit"], "Did you mean finite?"),
        (["env.tasks=3"], "env.tasks must be a group of settings, got 3"),
        (["algo.inner.step_size=abc"], "algo.inner.step_size must be a number, got 'abc'"),
        (["algo.inner.step_size=nan"], "algo.inner.step_size must be a number, got nan"),
        (["env=point_nav,cheetah_vel"], "add -m"),
        (["learner=ppo"], "learner cannot be chosen here"),
        (["robot=ant"], "robot cannot be chosen here"),
        (["algo=null"], "a group takes the name of an option"),
        (["seed"], "settings are written key=value"),
    ],
)
def test_mistake_becomes_one_helpful_line(overrides: list[str], line: str) -> None:
    assert line in mistake(*overrides)


def test_whole_floats_become_integers() -> None:
    cfg = compose("train", ["budget.env_steps=3e6"])
    check(cfg)
    assert cfg.budget.env_steps == 3_000_000
    assert type(cfg.budget.env_steps) is int


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (1, float, True),
        (1.0, int, True),
        (1.5, int, False),
        (True, int, False),
        (1, bool, False),
        (None, int | None, True),
        ([1, 2], list[int], True),
        ([1, "a"], list[int], False),
        ([0, 1], tuple[float, float], True),
        ([0, 1, 2], tuple[float, float], False),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        ({"_target_": "x"}, Path.home().__class__, False),
        ("outputs", Path, True),
        ({}, random.Random, True),
        (3, random.Random, False),
    ],
)
def test_values_are_compared_with_annotations(
    value: object, annotation: object, fits: bool
) -> None:
    assert matches(value, annotation) is fits


def test_only_integer_annotations_round_floats() -> None:
    assert type(as_integer(3.0, int | None)) is int
    assert type(as_integer(3.0, float)) is float


def test_flatten_gives_dotted_scalars() -> None:
    cfg = OmegaConf.create({"a": {"b": 1, "c": {"d": None}}, "e": [1, 2]})
    assert flatten(cfg) == {"a.b": 1, "a.c.d": None, "e": "[1, 2]"}


def test_overrides_of_a_frozen_run_keep_types_and_drop_its_plugins() -> None:
    frozen = OmegaConf.create(
        {
            "lr": 0.1,
            "n_tasks": 20,
            "hidden": [64],
            "who": None,
            "plugins": ["evil"],
            "a": {"b": "c"},
        }
    )
    changes = OmegaConf.create({"lr": 1, "n_tasks": 2e1, "hidden": [1, 2], "a": {"b": "d"}})
    merged = merge_overrides(frozen, changes)
    assert OmegaConf.to_container(merged) == {
        "lr": 1.0,
        "n_tasks": 20,
        "hidden": [1, 2],
        "who": None,
        "plugins": [],
        "a": {"b": "d"},
    }
    assert type(merged.lr) is float
    assert type(merged.n_tasks) is int
    assert frozen.lr == 0.1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"env": {"tasks": {"num_tst": 3}}}, "Did you mean env.tasks.num_test?"),
        ({"env": "point_nav"}, "only single settings can change"),
        ({"env": {"horizon": "long"}}, "env.horizon must be like 100, got 'long'"),
        ({"env": {"_target_": "os.system"}}, "classes of a finished run cannot change"),
        ({"foo": 1}, "unknown key foo"),
    ],
)
def test_wrong_override_of_a_frozen_run_is_one_line(changes: dict, line: str) -> None:
    with pytest.raises(UserError) as caught:
        merge_overrides(compose("train", ["env=point_nav"]), OmegaConf.create(changes))
    assert line in str(caught.value)


def leaf_keys() -> list[str]:
    return [key for key in flatten(compose("bench", ["env=point_nav"])) if "_target_" not in key]


@pytest.mark.parametrize("kind", ["key", "env"])
def test_nearly_all_one_letter_typos_get_the_right_suggestion(kind: str) -> None:
    words = leaf_keys() if kind == "key" else options_of("env")
    rng, right, total = random.Random(0), 0, 0
    while total < 300:
        word = rng.choice(words)
        wrong = typo(word, rng)
        if wrong in words or len(wrong) < 3:
            continue
        total += 1
        right += suggest(wrong, words) == f" Did you mean {word}?"
    assert right / total >= 0.95


def mutated(keys: list[str], rng: random.Random) -> str:
    values = [
        "1",
        "-1",
        "0",
        "1e3",
        "abc",
        "null",
        "[1,2]",
        "{a:1}",
        "true",
        "''",
        "nan",
        "${x}",
        "?",
    ]
    override = f"{rng.choice(['', '', '', '+', '++', '~'])}{rng.choice(keys)}={rng.choice(values)}"
    for _ in range(rng.randrange(3)):
        place = rng.randrange(len(override))
        override = override[:place] + rng.choice("aZ0.=@:[{$,' ") + override[place + 1 :]
    return override


def fuzz(count: int, seed: int) -> None:
    keys = [*leaf_keys(), "env", "algo", "network", "plugins", "env._target_"]
    rng = random.Random(seed)
    for _ in range(count):
        override = mutated(keys, rng)
        try:
            check(compose("bench", ["env=point_nav", override]), BenchConfig)
        except UserError as error:
            assert "\n" not in str(error), override


def test_mutated_overrides_never_raise_anything_but_a_friendly_error() -> None:
    fuzz(60, seed=0)


@pytest.mark.slow
def test_many_mutated_overrides_never_raise_anything_but_a_friendly_error() -> None:
    fuzz(1500, seed=1)


def test_conf_folder_is_found() -> None:
    assert (conf_dir() / "train.yaml").is_file()
