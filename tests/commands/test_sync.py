"""W&B's copy of a run, read back with W&B's own reader: as it was logged, and as it is rebuilt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from metarl_cli.cli import main
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.core.words import cut
from metarl_cli.loggers.jsonl import read_rows
from metarl_cli.loggers.wandb import flatten
from metarl_cli.runtime.run_record import RunRecord

ROOT = Path(__file__).resolve().parents[2]
RUN = Path("outputs/train/run")


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key, no server, no statistics of the machine."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "no-such-home"))
    monkeypatch.setenv("WANDB_X_DISABLE_STATS", "true")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    yield
    wandb.teardown()


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with name, tags and film, logged to W&B offline by the line of an agent."""
    home = tmp_path_factory.mktemp("mirrored")
    sweep = yaml.safe_load((ROOT / "docs" / "sweep.yaml").read_text())
    drawn = {key: first_of(item) for key, item in sweep["parameters"].items()}
    small = {
        "env.horizon": 10, "env.tasks.num_test": 2, "algo.num_tasks": 2, "algo.envs_per_task": 3,
        "meta_test.envs_per_task": 2, "meta_test.episodes": 2, "budget.env_steps": 240,
        "budget.eval_every": 120, "threads": 1, "film": True, "name": "try", "tags": "[paper]",
        "hydra.run.dir": str(RUN),
    }  # fmt: skip
    words = agent_line(sweep["command"], drawn | small)
    assert words[:3] == ["/usr/bin/env", "metarl", "train"]
    variables = {"WANDB_RUN_ID": "agentsid", "WANDB_SWEEP_ID": "s1", "WANDB_MODE": "offline"}
    done = subprocess.run(
        [sys.executable, "-m", "metarl_cli.cli", *words[2:]],
        cwd=home,
        env=os.environ | variables | {"PYTHONPATH": str(ROOT), "WANDB_X_DISABLE_STATS": "true"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "steps/s" in done.stderr
    return home / RUN


def first_of(parameter: dict[str, Any]) -> Any:
    return parameter.get("value", parameter.get("values", [parameter.get("min")])[0])


def agent_line(command: list[str], values: dict[str, Any]) -> list[str]:
    """The words that an agent of W&B starts a run with."""
    args = create_sweep_command_args({"args": {key: {"value": x} for key, x in values.items()}})
    words: list[str] = []
    for chunk in create_sweep_command(list(command)):
        macro = chunk.strip("${}") if chunk.startswith("${") else ""
        words += {"env": ["/usr/bin/env"], "": [chunk]}.get(macro) or args[macro]
    return words


def records(run: Path) -> list[dict[str, Any]]:
    """What is in the only offline folder of a run."""
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def identity(written: list[dict[str, Any]]) -> dict[str, Any]:
    return next(record["run"] for record in written if record["type"] == "run")


def history(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, without what W&B adds."""
    rows = [record["history"]["item"] for record in written if record["type"] == "history"]
    return [{key: x for key, x in row.items() if not key.startswith("_")} for row in rows]


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the record: those without films and tables."""
    shown = ("video/", "image/", "test/adaptation")
    return [row for row in rows if not any(key.startswith(shown) for key in row)]


def require_whole(run: Path) -> None:
    """Names, tags, numbers, film and table are there, and equal to what the folder holds."""
    written = records(run)
    known, rows = identity(written), history(written)
    config = {key: x for key, x in known["config"]["update"].items() if key != "_wandb"}
    label = RunRecord(run).identity.label
    assert label.startswith("try-") and "-step_size=0.001-" in label and label.endswith("-s0")
    assert (known["display_name"], known["run_id"]) == (cut(label, 128), "agentsid")
    assert config.items() >= {"env": "point_nav", "algo": "maml", "env.horizon": 10}.items()
    assert not [value for value in config.values() if value is None or isinstance(value, dict)]
    assert {"paper", "point_nav", "maml", "step_size=0.001"} <= set(known["tags"])
    assert known["run_group"].startswith("point_nav/maml ")
    recorded = read_rows(run / "metrics.jsonl")
    assert numbers(rows) == recorded
    assert "test/online_2" in recorded[-1] and "eval/online_2" in recorded[0]
    (film,) = [row["video/test.path"] for row in rows if "video/test.path" in row]
    (table,) = [x["test/adaptation.path"] for x in rows if "test/adaptation.path" in x]
    (folder,) = run.glob("wandb/offline-run-*")
    assert (folder / "files" / film).read_bytes()[:4] == b"GIF8"
    held = json.loads((folder / "files" / table).read_text())
    episodes = json.loads((run / "eval.json").read_text())["episodes"]
    online = held["columns"].index("online")
    assert [row[online] for row in held["data"]] == [x["online"]["mean"] for x in episodes]


def test_offline_copy_has_names_tags_numbers_film_and_table(mirrored: Path) -> None:
    require_whole(mirrored)


def test_configuration_that_an_agent_passes_back_is_understood_and_changes_nothing(
    mirrored: Path,
) -> None:
    config = identity(records(mirrored))["config"]["update"]
    config = {key: x for key, x in config.items() if key != "_wandb"}
    command = yaml.safe_load((ROOT / "docs" / "sweep.yaml").read_text())["command"]
    cfg = compose("train", agent_line(command, config)[3:])
    check(cfg)
    composed = flatten(OmegaConf.to_container(cfg, resolve=True))
    again = {key: value for key, value in composed.items() if value is not None}
    assert again == {key: x for key, x in config.items() if key not in ("env", "algo")}


@pytest.fixture
def copy(mirrored: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run in the current folder."""
    monkeypatch.delenv("WANDB_MODE")
    shutil.copytree(mirrored, RUN)
    return RUN


def test_rebuilt_run_is_equal_to_the_record_and_has_its_films_and_tables(copy: Path) -> None:
    shutil.rmtree(copy / "wandb")  # as if it had been lost
    assert main(["sync", f"runs=[{copy}]", "mode=offline"]) == 0
    require_whole(copy)


def test_resumed_or_killed_run_is_rebuilt_and_its_old_pieces_kept_apart(copy: Path) -> None:
    meta = json.loads((copy / "meta.json").read_text())
    (copy / "meta.json").write_text(json.dumps(meta | {"status": "interrupted"}))
    assert main(["sync", f"runs=[{copy}]", "mode=offline"]) == 0
    assert len(list(copy.glob("wandb-replaced-1/offline-run-*"))) == 1
    assert numbers(history(records(copy))) == read_rows(copy / "metrics.jsonl")


def test_upload_that_fails_is_one_line(copy: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sync", f"runs=[{copy}]"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("metarl: W&B: ") and "is not uploaded (" in error
    assert error.count("\n") == 1
    assert len(list(copy.glob("wandb/offline-run-*"))) == 1


@pytest.mark.parametrize(
    ("runs", "line"),
    [("[]", "names no run"), ("[nowhere]", "has no metrics.jsonl"), ("[latest]", "train one")],
)
def test_what_is_no_run_is_one_line(
    here: Path, capsys: pytest.CaptureFixture, runs: str, line: str
) -> None:
    assert main(["sync", f"runs={runs}"]) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


def test_loggers_of_a_finished_run_can_be_chosen_anew(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["eval", "checkpoint=latest", "logger=[]", "output=a.json"]) == 0
    assert main(["eval", "checkpoint=latest", "logger=wadnb"]) == 2
    assert "there is no logger=wadnb. Did you mean wandb?" in capsys.readouterr().err
