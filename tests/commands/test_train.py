"""`metarl train`, attacked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from metarl_cli.cli import main
from metarl_cli.core.protocols import HELD_OUT
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.loggers.jsonl import read_rows
from metarl_cli.runtime.run_record import RunRecord

Call = Callable[..., int]
RUN = Path("outputs/train/run")
WHOLE = Path("outputs/train/whole")


def one_line(capsys: pytest.CaptureFixture) -> str:
    """Return what was said on stderr, which must be one line of ours."""
    err = capsys.readouterr().err
    assert err.startswith("metarl: "), err
    assert err.count("\n") == 1, err
    return err


def rows(run: Path = RUN) -> list[dict]:
    """The record without what depends on the clock."""
    kept = read_rows(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]


def policy(run: Path = RUN) -> dict[str, torch.Tensor]:
    newest = max(run.glob("checkpoints/ckpt-*.pt"))
    return torch.load(newest, weights_only=True)["learned"]["policy"]


def test_run_leaves_everything_needed_to_repeat_and_judge_it(
    train: Call, capsys: pytest.CaptureFixture
) -> None:
    assert train("algo=maml") == 0
    shown = capsys.readouterr().out
    assert "maml on point_nav: 2 held-out tasks" in shown
    assert "Adaptation: return" in shown
    meta = json.loads((RUN / "meta.json").read_text())
    assert (meta["status"], meta["env"], meta["algo"]) == ("finished", "point_nav", "maml")
    assert (meta["threads"], meta["env_steps"], meta["seed"]) == (1, 360, 0)
    document = json.loads((RUN / "eval.json").read_text())
    best = json.loads((RUN / "checkpoints/best.json").read_text())
    assert document["checkpoint"] == best["file"]
    assert (document["num_tasks"], len(document["episodes"])) == (2, 3)
    recorded = rows()
    assert [row["env_steps"] for row in recorded] == [120, 240, 360, 360]
    assert recorded[-1][HELD_OUT] == 1.0
    assert not any(key.startswith("eval/") for key in recorded[-1])
    assert not any(key.startswith("test/") for row in recorded[:-1] for key in row)
    assert recorded[-1]["test/online_2"] == pytest.approx(document["episodes"][2]["online"]["mean"])


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("algo.inner.steps=0", "algo.inner: steps: got 0, expected a number >= 1"),
        ("algo.num_tasks=-1", "algo.num_tasks must be at least 1, got -1"),
        ("algo.num_tasks=0", "algo.num_tasks must be at least 1, got 0"),
        ("algo.envs_per_task=0", "algo.envs_per_task must be at least 1, got 0"),
        ("env.tasks.num_test=0", "env.tasks.num_test must be at least 1, got 0"),
        ("env.horizon=0", "horizon"),
        ("algo.inner.step_size=-1", "step_size: got -1, expected a number > 0"),
        ("budget.env_steps=0", "budget.env_steps must be at least 1"),
        ("threads=100000", "threads must be at most"),
        ("seed=99999999999999999999", "seed must be at most"),
        ("~algo.meta_test", "algo.meta_test is missing"),
    ],
)
def test_number_out_of_range_is_one_line_and_leaves_no_folder(
    train: Call, here: Path, capsys: pytest.CaptureFixture, override: str, line: str
) -> None:
    assert train("algo=maml", override) == 2
    assert line in one_line(capsys)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            ["algo=maml", "algo.dense_training=true"],
            "algo.dense_training: this environment tells no",
        ),
        (
            ["algo=promp", "algo.dense_training=true"],
            "algo.dense_training: this environment tells no",
        ),
        (
            ["algo=maesn", "env.tasks.mode=fresh"],
            "algo.train_tasks: MAESN needs a finite training set",
        ),
        (
            ["algo=maesn", "algo.train_tasks=1"],
            "algo.train_tasks: MAESN needs a finite training set",
        ),
        (["algo=pearl", "env.tasks.mode=fresh"], "env.tasks.mode: this algorithm replays a finite"),
        (["algo=pearl", "algo.train_tasks=1"], "algo.train_tasks: there are more training tasks"),
        (["algo=pearl", "algo.dense_training=true"], "algo.dense_training: this environment tells"),
        (["algo=maml", "algo.initial_std=0"], "initial_std: got 0, expected a number > 0"),
        (["algo=maesn", "algo.envs_per_task=1"], "envs_per_task: got 1, expected a number >= 2"),
        (["algo=cavia", "network=gru"], "needs a feed-forward one, got memory"),
        (["algo=llama", "algo.prior_precision=0"], "prior_precision: got 0, expected a number > 0"),
        (["algo=reptile", "algo.outer_step_size=2"], "outer_step_size"),
        (["algo=promp", "algo.clip=-1"], "clip: got -1, expected a number > 0"),
    ],
)
def test_method_that_cannot_run_here_says_so_in_one_line_and_leaves_no_folder(
    train: Call, here: Path, capsys: pytest.CaptureFixture, settings: list[str], line: str
) -> None:
    assert train(*settings) == 2
    assert line in one_line(capsys)
    assert list(here.iterdir()) == []


def test_negative_learning_rate_is_one_line(train: Call, capsys: pytest.CaptureFixture) -> None:
    assert train("algo=multitask_ppo", "algo.ppo.learning_rate=-1") == 2
    assert "learning_rate: got -1, expected a number > 0" in one_line(capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_missing_cuda_is_one_line(train: Call, capsys: pytest.CaptureFixture) -> None:
    assert train("device=cuda") == 2
    assert "no usable CUDA device" in one_line(capsys)


def test_folder_that_holds_a_run_is_left_alone(
    run: Path, train: Call, capsys: pytest.CaptureFixture
) -> None:
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    assert train("seed=1") == 2
    assert "holds a run; continue it with resume=" in one_line(capsys)
    assert {path: path.read_bytes() for path in before} == before


def test_rows_of_an_attempt_without_checkpoint_are_dropped(train: Call) -> None:
    RUN.mkdir(parents=True)
    (RUN / "metrics.jsonl").write_text('{"env_steps": 7}\n')
    assert train() == 0
    assert rows()[0]["env_steps"] == 120


def test_sweep_makes_a_run_per_seed(here: Path, tiny: list[str]) -> None:
    assert main(["train", "-m", *tiny[:-1], "seed=0,1", "hydra.sweep.dir=outputs/sweep"]) == 0
    metas = [json.loads(path.read_text()) for path in sorted(here.rglob("meta.json"))]
    assert [(meta["seed"], meta["status"]) for meta in metas] == [
        (0, "finished"),
        (1, "finished"),
    ]
    tables = [path.read_text() for path in sorted(here.rglob("eval.json"))]
    assert tables[0] != tables[1]


def test_sweep_names_its_runs_after_what_it_varies(
    here: Path, tiny: list[str], capsys: pytest.CaptureFixture
) -> None:
    swept = ["algo.inner.step_size=.1,.2", "budget.env_steps=1", "name=ablation", "tags=[paper]"]
    assert main(["train", "-m", *tiny[:-1], *swept, "hydra.sweep.dir=outputs/sweep"]) == 0
    folders = {path.name for path in (here / "outputs/sweep").iterdir() if path.is_dir()}
    names = [f"{i}-point_nav-maml-ablation-step_size_0.{i + 1}-s0" for i in (0, 1)]
    assert set(names) <= folders
    first, second = (RunRecord(here / "outputs/sweep" / name).identity for name in names)
    assert (first.name, first.tags) == ("ablation", ["paper"])
    assert first.swept == ["algo.inner.step_size=0.1"]
    assert first.label == "ablation-step_size=0.1-s0"
    assert first.labels == ["paper", "point_nav", "maml", "step_size=0.1"]
    assert "num_tasks=2" in first.group and "step_size=0.1" in first.group
    assert first.group != second.group
    assert first.group == replace(first, seed=7).group
    capsys.readouterr()
    assert main(["list", "runs"]) == 0
    shown = capsys.readouterr().out
    assert "ablation" in shown and "step_size=0.1 " in shown and "step_size=0.2 " in shown


def test_finished_run_continues_with_a_longer_budget(run: Path, train: Call) -> None:
    assert train("budget.env_steps=720", "hydra.run.dir=outputs/train/whole") == 0
    whole, parameters = rows(WHOLE), policy(WHOLE)
    assert main(["train", f"resume={RUN}", "budget.env_steps=720"]) == 0
    assert rows() == whole
    assert all(torch.equal(parameters[name], x) for name, x in policy().items())
    assert "env_steps: 720" in (RUN / "config.yaml").read_text()
    assert main(["train", "resume=latest"]) == 0  # changes nothing
    assert rows() == whole


def test_going_back_to_a_checkpoint_sets_the_later_ones_aside(run: Path) -> None:
    whole = rows()
    assert main(["train", f"resume={RUN}/checkpoints/ckpt-000000000240.pt"]) == 0
    assert rows() == whole
    names = sorted(path.name for path in RUN.glob("checkpoints/ckpt-*.pt"))
    assert names == [f"ckpt-000000000{steps}.pt" for steps in (120, 240, 360)]
    assert (RUN / "checkpoints/abandoned/ckpt-000000000360.pt").is_file()


def test_damaged_checkpoint_is_named_and_the_previous_one_used(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = rows()
    newest = RUN / "checkpoints/ckpt-000000000360.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert main(["train", f"resume={RUN}"]) == 0
    assert "is damaged: its checksum does not match; using ckpt-000000000240.pt" in (
        capsys.readouterr().err
    )
    assert rows() == whole


def test_lost_record_is_said(train: Call, capsys: pytest.CaptureFixture) -> None:
    assert train("logger=[console,jsonl]") == 0
    (RUN / "metrics.jsonl").write_text("")
    assert main(["train", f"resume={RUN}"]) == 0
    assert "has lost rows" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("chosen", "shown"), [("[]", False), ("[jsonl]", False), ("csv", True), ("[console]", True)]
)
def test_record_is_always_kept_and_progress_shown_unless_nothing_was_chosen(
    train: Call, capsys: pytest.CaptureFixture, chosen: str, shown: bool
) -> None:
    assert train(f"logger={chosen}", "budget.env_steps=1") == 0
    assert [row["env_steps"] for row in rows()] == [120, 120]
    assert ("steps/s" in capsys.readouterr().err) == shown
    assert (RUN / "metrics.csv").is_file() == (chosen == "csv")


def test_film_of_the_best_agent_is_kept_where_it_was_asked_for(run: Path, train: Call) -> None:
    assert not (RUN / "film.gif").exists()
    assert train("film=true", "budget.env_steps=1", "hydra.run.dir=outputs/train/filmed") == 0
    film = Image.open("outputs/train/filmed/film.gif")
    assert film.n_frames == 10 + 1  # steps of three episodes side by side, with their start


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("algo.inner_stps=2", "unknown key algo.inner_stps"),
        ("algo.num_tasks=0", "algo.num_tasks must be at least 1"),
        ("network.hidden=[8,8]", "does not fit this configuration"),
        (
            "algo._target_=metarl_cli.envs.points.point.PointNav",
            "the classes of a finished run cannot change",
        ),
    ],
)
def test_resuming_with_wrong_settings_is_one_line_and_changes_nothing(
    run: Path, capsys: pytest.CaptureFixture, override: str, line: str
) -> None:
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    assert main(["train", f"resume={RUN}", override]) == 2
    assert line in one_line(capsys)
    assert {path: path.read_bytes() for path in before} == before


def test_resuming_nothing_is_one_line(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "resume=latest"]) == 2
    assert "train one first" in one_line(capsys)


def test_films_at_each_evaluation_reach_the_loggers_and_change_no_result(
    train: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    films: list[tuple[str, int, int]] = []
    monkeypatch.setattr(
        Fanout, "video", lambda self, name, frames, step: films.append((name, frames.ndim, step))
    )
    assert train() == 0
    plain = [{k: x for k, x in row.items() if not k.startswith("time/")} for row in rows()]
    shutil.rmtree(RUN)
    assert train("film_evals=true") == 0
    assert films == [("eval", 4, 120), ("eval", 4, 240), ("eval", 4, 360)]
    assert [{k: x for k, x in row.items() if not k.startswith("time/")} for row in rows()] == plain
