from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metarl_cli.core.errors import RunError, UserError
from metarl_cli.runtime.find_runs import find_checkpoint, find_runs
from metarl_cli.runtime.runs import RunFolder, environment_facts

ROOT = Path(__file__).resolve().parents[2]
CLAIM = """
import sys
from pathlib import Path
from metarl_cli.runtime.runs import RunFolder
RunFolder(Path(sys.argv[1])).lock()
"""


def make_run(
    path: Path,
    *,
    env_steps: tuple[int, ...] = (10, 20),
    age_s: int = 0,
    score: float | None = 1.0,
) -> RunFolder:
    """A run with checkpoints, the first of them the best, if they have a score."""
    path.mkdir(parents=True)
    run = RunFolder(path)
    run.files.config.write_text("seed: 0\n")
    store = run.store(keep=9)
    rest = dict.fromkeys(("experience", "sampler", "random", "progress", "record", "identity"))
    for number, steps in enumerate(env_steps):
        state = {"learned": {"x": torch.zeros(1)}, **rest}
        best = number == 0 and score is not None
        store.save(state, env_steps=steps, iteration=number, score=score, best=best)
    for file in store.folder.glob("*.json"):
        stamp = 1_700_000_000 - age_s
        os.utime(file, (stamp, stamp))
    return run


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two runs of different age, a newer one without checkpoint and a reference run."""
    outputs = tmp_path / "outputs"
    make_run(outputs / "train/2026-01-01/old", age_s=100)
    make_run(outputs / "sweep/2026-01-02/0-new", age_s=50)
    make_run(outputs / "train/2026-01-03/empty", env_steps=())
    make_run(outputs / "reference/point_nav-maml")
    return outputs


def test_latest_is_the_newest_run_with_a_checkpoint_never_a_reference(outputs: Path) -> None:
    run, manifest = find_checkpoint("latest", outputs)
    assert run.folder == outputs / "sweep/2026-01-02/0-new"
    assert manifest is None


def test_best_is_the_best_of_the_newest_run(outputs: Path) -> None:
    run, manifest = find_checkpoint("best", outputs)
    assert run.folder.name == "0-new"
    assert manifest is not None
    assert manifest.env_steps == 10


def test_best_without_an_evaluation_is_one_line(outputs: Path) -> None:
    make_run(outputs / "train/2026-01-04/unscored", score=None)
    with pytest.raises(UserError, match="has no best checkpoint yet"):
        find_checkpoint("best", outputs)


def test_folder_and_file_mean_themselves(outputs: Path) -> None:
    folder = outputs / "reference/point_nav-maml"
    assert find_checkpoint(str(folder))[1] is None
    run, manifest = find_checkpoint(str(folder / "checkpoints/ckpt-000000000010.pt"))
    assert (run.folder, manifest.env_steps) == (folder, 10)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nowhere", "neither a file nor a run folder"),
        ("outputs", "not the folder of a run: it has no config.yaml"),
        ("outputs/train/2026-01-03/empty", "has no checkpoint"),
        ("outputs/reference/point_nav-maml/config.yaml", "not a checkpoint of metarl"),
        ("foreign.pt", "not a checkpoint of metarl"),
        ("a\0b", "neither a file nor a run folder"),
        ("", "not the folder of a run"),
    ],
)
def test_what_is_no_checkpoint_is_one_line(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    monkeypatch.chdir(outputs.parent)
    torch.save({"weights": 1}, "foreign.pt")
    with pytest.raises(UserError, match=message):
        find_checkpoint(reference)


def test_no_run_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train one first"):
        find_checkpoint("latest", tmp_path / "outputs")


def test_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    def claim() -> subprocess.CompletedProcess:
        arguments = [sys.executable, "-c", CLAIM, str(tmp_path)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(arguments, capture_output=True, text=True, env=environment)

    run = RunFolder(tmp_path)
    run.lock()
    run.lock()  # a process may ask twice
    assert "another process is training in" in claim().stderr
    del run
    assert claim().returncode == 0


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_run_whose_lock_or_record_is_no_file_of_its_own_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, kind: str
) -> None:
    victim, place = tmp_path / "victim", tmp_path / "run" / name
    place.parent.mkdir()
    victim.write_text("precious")
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(victim if kind == "link" else tmp_path / "new")
    with pytest.raises(UserError, match=rf"{name} is not a regular file") as caught:
        RunFolder(place.parent).lock()
    assert "\n" not in str(caught.value)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "new").exists()


def test_claiming_a_run_removes_files_that_a_crash_left_half_written(tmp_path: Path) -> None:
    (tmp_path / ".meta.json.tmp").write_text("{")
    (tmp_path / ".lock").write_text("kept as it is")
    run = RunFolder(tmp_path)
    run.lock()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        ".lock": "kept as it is"
    }


def test_copies_of_a_runs_files_below_it_are_no_runs(outputs: Path) -> None:
    run = make_run(outputs / "train/2026-01-05/tracked")
    copy = run.path / "wandb/offline-run-1/files"
    copy.mkdir(parents=True)
    for name in ("meta.json", "config.yaml"):
        (copy / name).write_text("{}")
        (run.path / name).write_text("{}")
    found = [record.folder.name for record in find_runs(outputs)]
    assert sorted(found) == ["0-new", "old", "point_nav-maml", "tracked"]


def test_missing_folder_cannot_be_claimed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write into"):
        RunFolder(tmp_path / "missing").lock()


def test_facts_are_merged_and_damage_is_survived(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_meta() == {}
    run.update_meta(status="running", seed=1)
    run.update_meta(status="finished")
    assert json.loads(run.files.meta.read_text()) == {"status": "finished", "seed": 1}
    for content in ("[1]", "{", "\xff"):
        run.files.meta.write_text(content, encoding="latin-1")
        assert run.read_meta() == {}
    with pytest.raises(RunError, match="cannot write"):
        RunFolder(tmp_path / "missing").update_meta(status="running")


def test_facts_name_versions_and_commit() -> None:
    facts = environment_facts()
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["cpu_count"] >= 1
