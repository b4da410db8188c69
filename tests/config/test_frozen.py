"""The config of a run folder is small, plain data of any version, or it is refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.config.frozen import freeze, read_frozen
from metarl_cli.config.migrate import STEPS, Group, Step, migrate
from metarl_cli.core.errors import UserError
from metarl_cli.core.plain_yaml import MOST_BYTES

REFERENCE = Path(__file__).resolve().parents[2] / "outputs" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/config.yaml"))
PPO = {"_target_": "metarl_cli.learners.ppo.PPO"}


def refused(path: Path) -> str:
    """Return the line with which a config is refused."""
    with pytest.raises(UserError) as caught:
        read_frozen(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_frozen_config_has_a_version_and_comes_back_without_it(tmp_path: Path) -> None:
    cfg = compose("train", ["env=point_nav", "algo=pearl"])
    text = freeze(cfg)
    assert OmegaConf.create(text).version == len(STEPS)
    assert "${" not in text
    back = read_frozen(written(tmp_path, text))
    assert back == OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))


@pytest.mark.parametrize("run", RUNS)
def test_reference_run_of_any_version_is_read_and_passes_the_check(run: str) -> None:
    check(read_frozen(REFERENCE / run / "config.yaml"))


@pytest.mark.parametrize("secret", ["${oc.env:METARL_SECRET}", "a ${seed} b", '"\\x24{seed}"'])
def test_interpolation_is_refused_and_not_resolved(
    secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METARL_SECRET", "hunter2")
    line = refused(written(tmp_path, f"seed: 0\ndevice: {secret}\n"))
    assert "no interpolation" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &a [1, 2]\nb: *a\n", "no aliases"),
        ("a: &a\n  b: *a\n", "no aliases"),
        ("a: " + "[" * 200_000, "levels"),
        ("a: !!python/object/apply:os.system [id]\n", "not the config"),
        ("[1, 2]", "not the config"),
        ("a: {", "not the config"),
        ("a: " + "x" * MOST_BYTES, "bytes"),
        (f"version: {len(STEPS) + 1}\n", "use a later one"),
        ("version: -1\n", "version -1"),
        ("version: one\n", "version one"),
    ],
)
def test_what_is_more_or_less_than_plain_data_is_refused_in_one_line(
    text: str, line: str, tmp_path: Path
) -> None:
    assert line in refused(written(tmp_path, text))


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # opening it would wait for ever
    for path in (fifo, Path("/dev/zero"), tmp_path):
        assert "not a regular file" in refused(path)
    assert "not the config of a run" in refused(tmp_path / "nothing")


def test_settings_that_a_config_lacks_get_the_value_they_stood_for() -> None:
    old = {"algo": {"ppo": PPO | {"learning_rate_decay": None}, "other": [PPO | {"clip": 0.1}]}}
    new = migrate(old)["algo"]
    assert new["ppo"] == PPO | {"learning_rate_decay": 1.0}
    assert new["other"] == [PPO | {"clip": 0.1, "learning_rate_decay": 1.0}]
    kept = migrate({"algo": {"ppo": PPO | {"learning_rate_decay": 0.5}}})
    assert kept["algo"]["ppo"]["learning_rate_decay"] == 0.5


def test_steps_move_rename_require_and_drop_from_the_version_of_the_config_on() -> None:
    steps = (
        Step(moved={"a.Old": "a.New"}, renamed={"a.New": {"x": "y"}}),
        Step(required={"budget": {"z": 3}}, dropped={"a.New": {"w": None}}),
    )
    old = {"algo": {"_target_": "metarl_cli.a.Old", "x": 1, "w": None}, "budget": {}}
    new = {"algo": {"_target_": "metarl_cli.a.New", "y": 1}, "budget": {"z": 3}}
    assert migrate(old, steps) == new
    assert migrate(new | {"version": 2}, steps) == new
    later = {"version": 1, "algo": {"_target_": "metarl_cli.a.Old", "x": 1}, "budget": {"z": 4}}
    assert migrate(later, steps) == {"algo": later["algo"], "budget": {"z": 4}}


def test_settings_that_got_a_class_of_their_own_are_put_into_it() -> None:
    steps = (Step(grouped={"a.New": {"inner": Group("a.Inner", ("x", "y", "z"))}}),)
    old = {"algo": {"_target_": "metarl_cli.a.New", "x": 1, "y": 2, "w": 3}}
    inner = {"_target_": "metarl_cli.a.Inner", "x": 1, "y": 2}
    new = {"algo": {"_target_": "metarl_cli.a.New", "w": 3, "inner": inner}}
    assert migrate(old, steps) == new
    assert migrate(new | {"version": 1}, steps) == new


@pytest.mark.parametrize(
    ("algo", "place"), [("varibad", "elbo"), ("hyperx", "elbo"), ("task_inference", "supervision")]
)
def test_updates_of_beliefs_of_version_0_are_read_as_those_of_today(algo: str, place: str) -> None:
    cfg = compose("train", [f"algo={algo}", "env=point_nav"])
    today = OmegaConf.to_container(cfg, resolve=True)
    old = OmegaConf.to_container(cfg, resolve=True)
    learner = old["algo"][place].pop("learner")
    del learner["_target_"]
    old["algo"][place] |= learner
    if place == "elbo":  # which meant 0 if they were not there
        del old["algo"]["elbo"]["state_weight"], old["algo"]["elbo"]["warmup_steps"]
    assert migrate(old) == today


@pytest.mark.parametrize("version", [0, 1])
def test_adaptation_of_maml_of_versions_before_2_is_read_as_that_of_today(version: int) -> None:
    cfg = compose("train", ["algo=maml", "env=point_nav", "algo.inner.step_size=0.3"])
    today, old = (OmegaConf.to_container(cfg, resolve=True) for _ in range(2))
    inner = old["algo"].pop("inner")
    named = {"steps": "inner_steps", "step_size": "inner_lr", "later_ratio": "later_lr_ratio"}
    old["algo"] |= {named.get(key, key): x for key, x in inner.items() if key != "_target_"}
    assert {"inner_steps", "inner_lr", "later_lr_ratio", "discount", "gae_lambda"} <= set(
        old["algo"]
    )
    del old["algo"]["dense_training"]  # which there was not
    if version == 0:
        old["algo"]["_target_"] = "metarl_cli.algorithms.maml.MAML"
    before = {"version": version} | old
    assert migrate(before) == today
    assert migrate(before)["algo"]["dense_training"] is False
    assert migrate({"version": 2} | today) == today


def test_settings_of_other_methods_keep_their_names_in_version_2() -> None:
    cfg = compose("train", ["algo=scratch_ppo", "env=point_nav"])
    theirs = OmegaConf.to_container(cfg, resolve=True)
    assert migrate({"version": 1} | theirs) == theirs


def test_setting_that_later_code_cannot_do_is_refused_by_name() -> None:
    steps = (Step(dropped={"a.New": {"w": False}}),)
    with pytest.raises(UserError, match=r"algo\.w=True of this run is no longer possible"):
        migrate({"algo": {"_target_": "metarl_cli.a.New", "w": True}}, steps)


def test_foreign_classes_of_the_same_name_are_left_alone() -> None:
    theirs = {"algo": {"_target_": "mine.learners.ppo.PPO"}}
    assert migrate(theirs) == theirs
