"""`metarl tune` on the command line: what is refused, one small search, what it leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import TINY
from optuna.pruners import NopPruner

from metarl_cli.cli import main
from metarl_cli.config.arguments import split_off_run_settings
from metarl_cli.config.compose import compose
from metarl_cli.sweeps.tuning.space import parse_space
from metarl_cli.sweeps.tuning.study import Plan, Proposals, Study
from metarl_cli.sweeps.tuning.workers import Workers

STEP_SIZE = "algo.inner.step_size"
WORDS = ("env=point_nav", f"{STEP_SIZE}=interval(0,1)", "env.horizon=range(5,50)")
STUDY = Path("outputs/tune/mine")


@pytest.fixture
def study(here: Path) -> Study:
    """Five finished trials, the larger the step size the better, and one given up."""
    study = Study(STUDY, NopPruner())
    study.agree_on(Plan(WORDS, (0, 1)))
    workers = Workers(STUDY / "workers", lost_after_s=60)
    for number in range(6):
        proposals = Proposals("random", 0, 10)
        trial = study.take(parse_space(WORDS), workers, proposals, trials=6)
        assert trial is not None
        score = trial.params[STEP_SIZE]
        if number == 5:
            study.give_up(number, "by hand")
        else:
            study.complete(number, [score - 1.0, score + 1.0])
    workers.leave()
    return study


def test_own_settings_are_told_from_those_of_the_runs() -> None:
    typed = ["to=x", "env=point_nav", "+a=1", "~b", "prune.percentile=9"]
    own, settings = split_off_run_settings([*typed, "hydra.verbose=true"], ["to", "prune"])
    assert own == ["to=x", "prune.percentile=9", "hydra.verbose=true"]
    assert settings == ["env=point_nav", "+a=1", "~b"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "to has no value"),
        (["to=x"], "nothing to search"),
        (["to=x", "env=point_nav"], "nothing to search"),
        (["to=x", f"{STEP_SIZE}=interval(1,0)"], "is not below"),
        (["to=x", f"{STEP_SIZE}=interval(0,1)", "env=point_nv"], "Did you mean point_nav?"),
        (["to=x", "algo.iner.step_size=interval(0,1)"], f"Did you mean {STEP_SIZE}?"),
        (["to=x", f"{STEP_SIZE}=1,2", "network=mlp,gruu"], "there is no network=gruu"),
        (["to=x", f"{STEP_SIZE}=1,2", "sampler=tpee"], "Did you mean tpe?"),
        (["to=x", f"{STEP_SIZE}=1,2", "seeds=[0,0]"], "name different numbers"),
        (["to=x", f"{STEP_SIZE}=1,2", "lost_after_s=10"], "3 x look_every_s"),
        (["report", "study=nowhere"], "there is no study in nowhere"),
    ],
)
def test_wrong_request_is_one_line_exit_2_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture, words: list[str], line: str
) -> None:
    assert main(["tune", *words]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert list(here.iterdir()) == []


def test_missing_optuna_is_named_with_what_installs_it(
    here: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metarl_cli.commands.tune.find_spec", lambda name: None)
    assert main(["tune", "to=x", *WORDS]) == 2
    assert "pip install 'metarl-cli[tune]'" in capsys.readouterr().err


def test_report_shows_trials_importance_and_a_preset_that_trains(
    study: Study, capsys: pytest.CaptureFixture
) -> None:
    assert main(["tune", "report", f"study={STUDY}"]) == 0
    said = capsys.readouterr().out
    best = study.best
    assert best is not None
    assert "6 trials: 5 finished, 1 given up" in said
    shares = {
        line.split()[0]: float(line.split()[1][:-1]) for line in said.splitlines() if "%" in line
    }
    assert shares.keys() == {STEP_SIZE, "env.horizon"}
    assert sum(shares.values()) == pytest.approx(100, abs=0.2)
    step_size, horizon = best.params[STEP_SIZE], best.params["env.horizon"]
    assert f"metarl train env=point_nav {STEP_SIZE}={step_size!r} env.horizon={horizon}" in said
    preset = compose("train", [f"hydra.searchpath=[file://{STUDY.absolute()}]", "experiment=best"])
    assert (preset.algo.inner.step_size, preset.env.horizon) == (step_size, horizon)


def test_preset_can_be_written_elsewhere(study: Study, here: Path) -> None:
    assert main(["tune", "report", f"study={STUDY}", "to=conf/experiment/mine.yaml"]) == 0
    assert (here / "conf/experiment/mine.yaml").read_text().startswith("# @package _global_\n")
    assert not (STUDY / "experiment").exists()


DONE = """
import sys
from metarl_cli.cli import main
code = main(["tune", "to=outputs/tune/mine", "trials=6"])
assert code == 0 and "torch" not in sys.modules, (code, "torch" in sys.modules)
"""


def test_finished_study_says_so_and_the_searching_process_needs_no_torch(study: Study) -> None:
    done = subprocess.run([sys.executable, "-c", DONE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "has its 6 trials; to add some: trials=<more>" in done.stderr


def test_study_with_other_settings_is_refused(study: Study, capsys: pytest.CaptureFixture) -> None:
    words = [word for word in WORDS if "horizon" not in word]
    assert main(["tune", f"to={STUDY}", *words, "seeds=[0,1]"]) == 2
    assert "choose another to=" in capsys.readouterr().err


def test_one_trial_is_trained_and_scored_by_its_validation_tasks(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    budget = [f"budget.{key}=120" for key in ("env_steps", "eval_every", "checkpoint_every")]
    search = ["tune", *TINY, *budget, f"{STEP_SIZE}=choice(0.1)", "trials=1", f"to={STUDY}"]
    assert main(search) == 0
    (trial,) = Study(STUDY).trials
    run = STUDY / "trials/0000/seed-0"
    best = (run / "checkpoints/best.json").read_text()
    assert f'"score": {trial.value}' in best
    assert "trial 0: score" in capsys.readouterr().err
