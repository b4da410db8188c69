import json
from pathlib import Path

import pytest

from metarl_cli.cli import main
from metarl_cli.commands.parts.retyped import words_of
from metarl_cli.runtime.find_runs import find_runs

REFERENCE = Path(__file__).resolve().parents[2] / "outputs" / "reference"
ROWS = {run.folder.name: run for run in find_runs(REFERENCE)}
TINY = ["env=point_nav", "env.horizon=5", "env.tasks.num_test=3", "algo=multitask_ppo", "threads=1"]
TINY += [
    "algo.num_tasks=2",
    "algo.envs_per_task=2",
    "budget=smoke",
    "budget.env_steps=40",
    "seed=3",
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A reference folder with one row, a tiny training."""
    folder = tmp_path_factory.mktemp("kept")
    assert main(["train", *TINY, "logger=[]", f"hydra.run.dir={folder}/tiny"]) == 0
    return folder


@pytest.mark.parametrize("row", ROWS)
def test_settings_of_every_shipped_row_can_still_be_typed(row):
    words = words_of(ROWS[row])
    assert any(word.startswith("env=") for word in words)


def test_row_trained_again_has_the_same_bits_and_is_inside(kept, tmp_path, capfd):
    words = ["reproduce", "tiny", f"reference={kept}", f"to={tmp_path}"]
    assert main(words) == 0
    again = tmp_path / "tiny" / "seed-3"
    then, now = (json.loads((x / "eval.json").read_text()) for x in (kept / "tiny", again))
    assert then["episodes"] == now["episodes"]
    printed = capfd.readouterr()
    assert "inside" in printed.out and "1 of 1 are inside" in printed.err


def test_checkpoint_measured_again_that_is_worse_than_what_is_kept_is_exit_code_1(
    kept, tmp_path, capfd
):
    words = ["reproduce", "--check", f"reference={kept}", f"to={tmp_path}"]
    assert main(words) == 0
    path = kept / "tiny" / "eval.json"
    honest = path.read_text()
    boast = json.loads(honest)
    for episode in boast["episodes"]:
        episode["online"] = {"mean": 0.0, "low": -0.1, "high": 0.1}
    path.write_text(json.dumps(boast))
    try:
        assert main(words) == 1
    finally:
        path.write_text(honest)
    assert "below" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which ones"),
        (["tiny_"], "Did you mean tiny"),
        (["check=true", "reference=none"], "no runs in none"),
    ],
)
def test_wrong_request_is_one_line_and_exit_code_2(kept, words, said, capsys):
    assert main(["reproduce", f"reference={kept}", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
