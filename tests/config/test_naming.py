"""What sets a run apart from others: kept short, and safe in the name of a folder."""

from __future__ import annotations

import os

import pytest
from omegaconf import OmegaConf

from metarl_cli.config.naming import (
    AGENT,
    SWEPT,
    in_sweep,
    run_name,
    setting_of,
    sweep_noted,
    swept_of,
)
from metarl_cli.core.words import cut, folder_part, short_settings

TYPED = ["env=nav2d", "algo.num_tasks=4", "seed=1", "+algo.inner.steps=2", "logger.wandb.mode=off"]


def test_setting_is_what_changes_results_beside_names_and_seed() -> None:
    assert setting_of(TYPED) == ["algo.inner.steps=2", "algo.num_tasks=4"]
    assert setting_of(reversed(TYPED)) == setting_of(TYPED)
    quiet = ["experiment=maml/point_nav", "threads=1", "name=a", "tags=[a]", "film=true"]
    assert setting_of([*quiet, "hydra/launcher=basic", "budget=smoke"]) == ["budget=smoke"]


@pytest.mark.parametrize(
    ("typed", "varied"),
    [
        (["algo.num_tasks=4,5", "algo.inner.steps=2"], ["algo.num_tasks=4"]),
        (["algo.num_tasks=choice(4,5)", "seed=0,1"], ["algo.num_tasks=4"]),
        (["algo.num_tasks=4", "+algo.inner.steps=range(2,4)"], ["algo.inner.steps=2"]),
        (["seed=0,1"], []),
    ],
)
def test_jobs_of_a_sweep_know_what_it_varies(typed: list[str], varied: list[str]) -> None:
    assert not in_sweep()
    with sweep_noted(["-m", *typed]):
        assert in_sweep()
        assert swept_of(setting_of(TYPED)) == varied
    assert SWEPT not in os.environ
    with sweep_noted(typed):
        assert not in_sweep() and swept_of(setting_of(TYPED)) == []


def test_agent_of_a_wandb_sweep_varies_all_that_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AGENT, "abc")
    assert swept_of(setting_of(TYPED)) == setting_of(TYPED)


def test_folder_of_a_job_is_named_after_what_is_swept() -> None:
    hydra = {
        "runtime": {"choices": {"env": "nav2d", "algo": "maml"}},
        "overrides": {"task": ["algo.inner.step_size=.1", "network.hidden=[64,64]", "seed=3"]},
    }
    root = OmegaConf.create({"name": "my run/2", "seed": 3, "hydra": hydra})
    assert run_name(_root_=root) == "nav2d-maml-my.run.2-s3"
    with sweep_noted(["-m", "algo.inner.step_size=.1,.2", "network.hidden=[64,64],[8]"]):
        expected = "nav2d-maml-my.run.2-step_size_.1-hidden_64.64-s3"
        assert run_name(_root_=root) == expected


def test_keys_are_shortened_unless_two_would_look_alike() -> None:
    assert short_settings(["a.b.c=1", "d.e=[2,3]"]) == ["c=1", "e=[2,3]"]
    assert short_settings(["a.b=1", "c.b=2"]) == ["a.b=1", "c.b=2"]


def test_long_names_are_cut_and_stay_different() -> None:
    first, second = folder_part([f"key={'x' * 300}1"]), folder_part([f"key={'x' * 300}2"])
    assert len(first) == len(second) == 100
    assert first != second
    assert cut("short", 5) == "short"
