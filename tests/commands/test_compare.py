"""Whether a second sweep is worse: exit code, words, file, refusals of what is no comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import make_run, make_sweep

from metarl_cli.cli import main

SEEDS, TASKS = 5, 20


def scores(seed: int, loss: float = 0.0) -> np.ndarray:
    """Returns `[seeds, tasks]` around 10: seeds differ by 3 % of it, tasks by 20 %."""
    tasks = np.random.default_rng(7).normal(10, 2, TASKS)
    rng = np.random.default_rng(seed)
    return tasks + rng.normal(0, 0.3, (SEEDS, 1)) + rng.normal(0, 0.5, (SEEDS, TASKS)) - loss


@pytest.fixture
def sweeps(here: Path) -> None:
    """Sweep `a`, a second one `same` of its setting, and one that lost a tenth."""
    make_sweep(Path("a"), scores(0))
    make_sweep(Path("same"), scores(1))
    make_sweep(Path("worse"), scores(2, loss=1.0))


def test_loss_of_a_tenth_is_an_alarm_and_luck_is_none(
    sweeps: None, capsys: pytest.CaptureFixture
) -> None:
    assert main(["compare", "a", "same"]) == 0
    assert "B is not shown to be worse than A" in capsys.readouterr().out
    assert main(["compare", "a", "worse"]) == 1
    said = capsys.readouterr().out
    assert "B is worse than A" in said
    assert "20 held-out tasks" in said
    assert main(["compare", "worse", "a"]) == 0


def test_loss_within_the_bar_is_no_alarm(sweeps: None) -> None:
    assert main(["compare", "a", "worse", "bar=0.2"]) == 0
    assert main(["compare", "a/s*", "worse/s*", "bar=0.01"]) == 1


def test_file_has_the_differences_of_every_task(here: Path) -> None:
    make_sweep(Path("a"), [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    make_sweep(Path("b"), [[1.0, 3.0], [2.0, 5.0], [6.0, 7.0]])
    assert main(["compare", "a", "b", "output=deep/found.json"]) == 0
    found = json.loads(Path("deep/found.json").read_text())
    assert found["per_task"] == [1.0, 1.0]
    assert (found["value"], found["first_mean"], found["second_mean"]) == (1.0, 3.0, 4.0)
    assert found["improvement"] == pytest.approx((5 / 9 + 6 / 9) / 2)
    assert (found["over"], found["worse"]) == ("seeds", False)


def refusal(capsys: pytest.CaptureFixture, *words: str) -> str:
    """The line with which a comparison is refused."""
    assert main(["compare", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_is_no_comparison_is_refused(sweeps: None, capsys: pytest.CaptureFixture) -> None:
    make_sweep(Path("other"), scores(0), test_seed=4)
    assert "test tasks of point_nav differ" in refusal(capsys, "a", "other")
    make_sweep(Path("mixed/a"), scores(0))
    make_sweep(Path("mixed/b"), scores(0), settings=("algo.inner.discount=0.5",))
    assert "B mixes settings, not only seeds: algo.inner.discount" in refusal(capsys, "a", "mixed")
    make_run(Path("one"), scores(0)[0])
    assert "A has 1 run: too few seeds" in refusal(capsys, "one", "a")
    assert "nowhere" in refusal(capsys, "a", "nowhere")
    assert "3 words" in refusal(capsys, "a", "same", "worse")


@pytest.mark.parametrize("words", [[], ["a"]])
def test_two_sides_are_asked_for(
    sweeps: None, capsys: pytest.CaptureFixture, words: list[str]
) -> None:
    assert "metarl compare A B" in refusal(capsys, *words)


def test_seeds_that_were_counted_twice_are_refused(
    sweeps: None, capsys: pytest.CaptureFixture
) -> None:
    make_sweep(Path("twice/a"), scores(0))
    make_sweep(Path("twice/b"), scores(0))
    assert "B has seed 0 twice" in refusal(capsys, "a", "twice")
