"""Many runs together: their numbers, pictures, and refusals of what cannot be compared."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import evaluation, make_run, make_sweep
from matplotlib.image import imread

from metarl_cli.cli import main
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose

Call = Callable[..., int]
SCRATCH = Path("outputs/train/scratch")


@pytest.fixture
def scratch(train: Call) -> Path:
    """A finished retraining run on the tasks of `run`."""
    assert train("algo=scratch_ppo", "meta_test.episodes=4", f"hydra.run.dir={SCRATCH}") == 0
    return SCRATCH


def test_runs_of_two_algorithms_are_drawn_in_one_panel(
    run: Path, scratch: Path, here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["report", f"runs=[{run},{scratch}]", "to=pictures"]) == 0
    picture = imread(here / "pictures/adaptation.png")
    assert picture.shape[:2] == (484, 550)
    assert picture[..., :3].std() > 0.05
    assert "pictures/adaptation.png" in capsys.readouterr().out


def test_file_of_a_longer_meta_test_stands_beside_the_run(run: Path, here: Path) -> None:
    long = "long/eval.json"
    assert main(["eval", f"checkpoint={run}", "meta_test.episodes=5", f"output={long}"]) == 0
    assert main(["report", f"runs=[{run},{long}]"]) == 0
    assert (here / "outputs/report/adaptation.png").is_file()


def refusal(capsys: pytest.CaptureFixture, runs: str) -> str:
    """The line with which a report is refused."""
    capsys.readouterr()
    assert main(["report", f"runs=[{runs}]"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not Path("outputs/report").exists()
    return said


def test_other_settings_of_the_environment_cannot_share_a_panel(
    run: Path, train: Call, capsys: pytest.CaptureFixture
) -> None:
    assert train("algo=scratch_ppo", "env.horizon=5", f"hydra.run.dir={SCRATCH}") == 0
    assert "env.horizon is 10 and 5" in refusal(capsys, f"{run},{SCRATCH}")


def test_other_test_tasks_cannot_share_a_panel(run: Path, capsys: pytest.CaptureFixture) -> None:
    other = ["env.tasks.test_seed=77", "output=other.json"]
    assert main(["eval", f"checkpoint={run}", *other]) == 0
    assert "test tasks of point_nav differ" in refusal(capsys, f"{run},other.json")


@pytest.mark.parametrize(("runs", "line"), [("", "names no run"), ("nowhere", "nowhere")])
def test_no_run_at_all_is_refused(
    here: Path, capsys: pytest.CaptureFixture, runs: str, line: str
) -> None:
    assert line in refusal(capsys, runs)


def sheet(name: str, folder: str = "outputs/report") -> list[dict[str, str]]:
    """Read one of the report's CSV files."""
    with (Path(folder) / name).open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(row: dict[str, str], *keys: str) -> list[float]:
    return [float(row[key]) for key in keys]


def test_numbers_are_those_of_a_hand_computation(here: Path) -> None:
    rising = [(0, 0.0, 0.0), (100, 10.0, 5.0)]
    make_sweep(
        Path("runs/maml"),
        [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 100.0]],
        curves=[
            rising,
            [(0, 0.0, 0.0), (40, 9.5, 2.0), (100, 9.0, 5.0)],
            [*rising, (200, 11.0, 9.0)],
        ],
    )
    make_sweep(Path("runs/rl2"), [[0.0, 2.0, 20.0, 4.0]], algo="rl2")
    assert main(["report", "runs"]) == 0
    maml, rl2 = sheet("methods.csv")
    assert numbers(maml, "iqm", "mean") == [6.5, pytest.approx(166 / 12)]  # of 4 to 9; of all
    assert maml["interval_over"] == "seeds"  # four tasks are no sample
    assert numbers(maml, "seeds", "tasks", "adaptations") == [3, 4, 0]
    assert numbers(maml, "validation_best", "validation_last") == [
        pytest.approx((10 + 9.5 + 11) / 3),
        10.0,
    ]
    # The last scores of the interquartile mean lie at step 100: 10, 9, 10, all three are kept.
    # A tenth less on the way from 0 is reached at steps 100, 40 and 100.
    threshold = 0.9 * (10 + 9 + 10) / 3
    assert f"a validation score of {threshold:.2f}" in Path("outputs/report/report.md").read_text()
    assert numbers(maml, "seeds_at_threshold", "steps_to_threshold", "seconds_to_threshold") == [
        3,
        100,
        5,
    ]
    assert (rl2["iqm"], rl2["iqm_low"], rl2["validation_best"]) == ("3.0", "", "")
    # Against 0, 2, 20 and 4 runs of maml win 3 times, 2 and a half, never, 2 and a half.
    chance = (3 / 3 + 2.5 / 3 + 0 / 3 + 2.5 / 3) / 4
    assert f"| maml |  | {chance:.2f} |" in Path("outputs/report/report.md").read_text()


def test_returns_are_normalised_by_what_is_exactly_known_of_the_environment(here: Path) -> None:
    anchors = build(compose("train", ["env=point_nav"]).env).anchors()
    floor, top = anchors["stand_still"][-1], anchors["oracle"][-1]
    make_sweep(Path("runs"), [[floor, top, (floor + top) / 2]])
    assert main(["report", "runs"]) == 0
    (row,) = sheet("methods.csv")
    assert float(row["normalised"]) == pytest.approx(0.5)
    assert float(row["optimality_gap"]) == pytest.approx(0.5)


def test_last_checkpoint_stands_beside_the_best_one_where_it_was_tested(here: Path) -> None:
    sweep = make_sweep(Path("runs"), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], trained=2000)
    assert main(["report", "runs"]) == 0
    assert "not measured" in Path("outputs/report/report.md").read_text()
    for seed in range(3):
        evaluation([float(seed)] * 2, env_steps=2000).write(sweep / f"s{seed}/eval_final.json")
    assert main(["report", "runs"]) == 0
    (row,) = sheet("methods.csv")
    assert numbers(row, "iqm", "final") == [3.5, 1.0]


def test_test_of_the_last_checkpoint_on_other_tasks_is_refused(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    make_run(Path("one"), [1.0, 2.0], trained=2000)
    evaluation([1.0, 2.0], test_seed=7).write(Path("one/eval_final.json"))
    assert "no test on the tasks of one" in refusal(capsys, "one")


def test_folders_patterns_and_runs_may_be_mixed_and_each_run_counts_once(here: Path) -> None:
    make_sweep(Path("a"), [[1.0, 2.0]] * 3)
    make_run(Path("b/s3"), [1.0, 2.0], seed=3)
    assert main(["report", "a", "a/s1", "[ab]/s*", "b/s3"]) == 0
    assert [row["run"] for row in sheet("episodes.csv")] == ["s0", "s1", "s2", "s3"]
    assert [row["seeds"] for row in sheet("methods.csv")] == ["4"]


def test_unfinished_jobs_of_a_sweep_are_left_out_aloud(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    make_sweep(Path("runs"), [[1.0, 2.0]] * 3)
    Path("runs/s1/eval.json").unlink()
    assert main(["report", "runs"]) == 0
    assert "runs/s1 is left out: it has no eval.json yet" in capsys.readouterr().err
    assert [row["seeds"] for row in sheet("methods.csv")] == ["2"]


def test_other_settings_make_other_methods_named_by_them(here: Path) -> None:
    for discount in ("0.1", "0.2"):
        chosen = (f"algo.inner.discount={discount}",)
        make_sweep(Path(f"runs/{discount}"), [[1.0, 2.0]] * 3, settings=chosen)
    assert main(["report", "runs"]) == 0
    assert [row["method"] for row in sheet("methods.csv")] == [
        "maml discount=0.1",
        "maml discount=0.2",
    ]


def test_other_test_tasks_get_a_panel_of_their_own_only_if_asked(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    make_run(Path("a"), [1.0, 2.0])
    make_run(Path("b"), [1.0, 2.0], test_seed=5)
    assert "a and b cannot share a panel" in refusal(capsys, "a,b")
    assert main(["report", "a", "b", "split=true"]) == 0
    assert [row["env"] for row in sheet("methods.csv")] == ["point_nav #1", "point_nav #2"]
    assert "method by environment" in Path("outputs/report/report.md").read_text()


def test_too_few_seeds_or_tasks_are_said(here: Path, capsys: pytest.CaptureFixture) -> None:
    make_sweep(Path("runs"), [[1.0, 2.0]] * 2)
    assert main(["report", "runs"]) == 0
    said = capsys.readouterr().out
    assert "too few seeds for an interval over seeds (fewer than 3): maml" in said
    assert "too few tasks for an interval over tasks" in said
    assert "[no interval]" in Path("outputs/report/report.md").read_text()


def test_names_are_no_formulas_no_markup_and_no_tags(here: Path) -> None:
    make_run(Path("=1+1|<b>$x$"), [1.0, 2.0])
    make_run(Path("@a"), [1.0, 2.0], settings=("algo.inner.discount=0.5",))
    assert main(["report", "runs=['=1+1|<b>$x$', '@a']"]) == 0
    assert [row["run"] for row in sheet("episodes.csv")] == ["'=1+1|<b>$x$", "'@a"]
    assert "<b>" not in Path("outputs/report/report.md").read_text()


def test_without_the_plots_of_the_page_all_else_is_written(
    here: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    make_run(Path("one"), [1.0, 2.0])
    assert main(["report", "one"]) == 0
    assert "pip install 'metarl-cli[report]'" in capsys.readouterr().out
    names = {path.name for path in Path("outputs/report").iterdir()}
    assert names == {"report.md", "methods.csv", "episodes.csv", "adaptation.png", "profile.png"}
