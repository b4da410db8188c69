from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.files import write_atomically, write_json
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.checkpoint_file import load_file
from metarl_cli.runtime.manifest import read_manifest

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from metarl_cli.core.errors import RunError
from metarl_cli.runtime.checkpoint import CheckpointStore

def state(value, size):
    rest = dict.fromkeys(("experience", "sampler", "random", "progress", "record", "identity"))
    return {"learned": {"x": torch.full((size,), value)}, **rest}

store = CheckpointStore(Path(sys.argv[1]), keep=1)
store.save(state(1.0, 10), env_steps=10, iteration=1, best=True)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.save(state(2.0, 100_000), env_steps=20, iteration=2, best=True)
except RunError as error:
    print(error)
"""


def state(value: float = 1.0) -> dict:
    rest = dict.fromkeys(("experience", "sampler", "random", "progress", "record", "identity"))
    return {"learned": {"policy": {"weight": torch.full((3,), value)}}, **rest}


def value_of(loaded: dict) -> float:
    return float(loaded["learned"]["policy"]["weight"][0])


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    """Two checkpoints of value 1 and 2 at 10 and 20 steps."""
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    for number in (1, 2):
        store.save(state(float(number)), env_steps=10 * number, iteration=number)
    return store


def test_newest_checkpoint_is_loaded(store: CheckpointStore) -> None:
    loaded, manifest, damaged = store.load_latest()
    assert (value_of(loaded), manifest.env_steps, damaged) == (2.0, 20, [])
    assert not list(store.folder.glob(".*"))  # no temporary files


def test_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_one_line_and_earlier_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    arguments = [sys.executable, "-c", FULL_DISK, str(folder)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.startswith("cannot write checkpoint")
    assert done.stdout.count("\n") == 1
    store = CheckpointStore(folder)
    assert float(store.load_latest()[0]["learned"]["x"][0]) == 1.0
    assert store.load(store.best())["learned"]["x"][0] == 1.0
    assert not list(folder.glob(".*"))


def test_json_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        write_json(tmp_path / "missing" / "eval.json", {})


def test_every_flipped_bit_and_truncation_is_noticed_and_the_previous_one_used(
    store: CheckpointStore,
) -> None:
    newest = store.folder / store.manifests()[-1].file
    intact, rng = newest.read_bytes(), random.Random(0)
    for trial in range(200):
        if trial % 2:
            damaged = bytearray(intact)
            damaged[rng.randrange(len(intact))] ^= 1 << rng.randrange(8)
        else:
            damaged = bytearray(intact[: rng.randrange(len(intact))])
        newest.write_bytes(damaged)
        loaded, manifest, messages = store.load_latest()
        assert (value_of(loaded), manifest.env_steps) == (1.0, 10)
        assert messages == [f"checkpoint {newest} is damaged: its checksum does not match"]


def test_flipped_bit_in_a_manifest_never_yields_wrong_content(store: CheckpointStore) -> None:
    path = store.folder / "ckpt-000000000020.json"
    intact, refused = path.read_bytes(), 0
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        loaded, manifest, messages = store.load_latest()
        refused += bool(messages)
        assert value_of(loaded) == (1.0 if messages else 2.0)
        assert manifest.env_steps == (10 if messages else 20)
    assert refused > 150  # the rest is white space, iteration and score


def test_all_checkpoints_damaged_is_one_line(store: CheckpointStore) -> None:
    for path in store.folder.glob("*.pt"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no usable checkpoint .* damaged"):
        store.load_latest()


def test_missing_checkpoint_file_falls_back_with_a_message(store: CheckpointStore) -> None:
    (store.folder / "ckpt-000000000020.pt").unlink()
    loaded, _, messages = store.load_latest()
    assert value_of(loaded) == 1.0
    assert "cannot read" in messages[0]


class Malicious:
    """Unpickling this runs a program."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.witness}",)


def write_with_manifest(store: CheckpointStore, data: bytes) -> Path:
    """Put bytes in the place of the newest checkpoint, with a manifest that fits them."""
    path = store.folder / "ckpt-000000000020.pt"
    fake = json.loads(path.with_suffix(".json").read_text())
    path.write_bytes(data)
    fake |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    path.with_suffix(".json").write_text(json.dumps(fake))
    return path


def torch_bytes(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_malicious_checkpoint_runs_nothing(store: CheckpointStore, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    attacks = [
        pickle.dumps(Malicious(witness), protocol=2),
        torch_bytes({"learned": Malicious(witness)}),
    ]
    for data in attacks:
        path = write_with_manifest(store, data)
        with pytest.raises(UserError, match="does not hold a checkpoint of metarl"):
            load_file(path)
        assert not witness.exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"\x80\x02.", b"hello", torch_bytes([1]), torch_bytes({"learned": {}})],
    ids=["empty", "zip", "pickle", "text", "list", "incomplete"],
)
def test_foreign_file_is_refused(store: CheckpointStore, data: bytes) -> None:
    path = write_with_manifest(store, data)
    with pytest.raises(UserError, match="does not hold a checkpoint of metarl"):
        load_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../elsewhere/ckpt-000000000020.pt"},
        {"file": ".."},
        {"file": "ckpt-000000000010.pt"},
        {"file": 5},
        {"env_steps": "20"},
        {"env_steps": 30},
        {"size": None},
        {"score": "good"},
        {"unknown": 1},
    ],
)
def test_manifest_of_another_file_or_form_does_not_count(
    store: CheckpointStore, change: dict
) -> None:
    path = store.folder / "ckpt-000000000020.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_manifest(path) is None
    assert store.load_latest()[1].env_steps == 10
    best = store.folder / "best.json"
    best.write_bytes(path.read_bytes())
    if "file" not in change or change["file"] != "ckpt-000000000010.pt":
        assert store.best() is None


def test_other_format_is_named(store: CheckpointStore) -> None:
    path = store.folder / "ckpt-000000000020.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 3}))
    with pytest.raises(UserError, match="has checkpoint format 3, expected 2"):
        load_file(path.with_suffix(".pt"))


def test_file_without_manifest_is_no_checkpoint(store: CheckpointStore) -> None:
    path = store.folder / "ckpt-000000000020.pt"
    path.with_suffix(".json").unlink()  # killed between the two files
    assert store.load_latest()[1].env_steps == 10
    with pytest.raises(UserError, match="no manifest beside it"):
        load_file(path)


def test_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for number in range(1, 7):
        best = number == 2
        store.save(state(number), env_steps=number, iteration=number, score=-1.0, best=best)
    assert [m.env_steps for m in store.manifests()] == [2, 5, 6]
    assert len(list(tmp_path.glob("*.pt"))) == 3
    assert value_of(store.load(store.best())) == 2.0


def test_best_is_known_before_its_checkpoint_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)
    replaced: list[str] = []
    rename = os.replace

    def note(source: Path, target: Path) -> None:
        replaced.append(Path(target).suffix + Path(target).stem[:4])
        rename(source, target)

    monkeypatch.setattr(os, "replace", note)
    store.save(state(), env_steps=1, iteration=1, best=True)
    assert replaced == [".ptckpt", ".jsonbest", ".jsonckpt"]


def test_going_back_sets_later_checkpoints_aside(store: CheckpointStore) -> None:
    store.save(state(3.0), env_steps=30, iteration=3, best=True)
    store.go_back_to(20)
    assert [m.env_steps for m in store.manifests()] == [20]
    assert store.best() is None
    aside = store.folder / "abandoned" / "ckpt-000000000030.pt"
    assert value_of(load_file(aside)) == 3.0
    store.keep = 1
    store.save(state(4.0), env_steps=25, iteration=3)
    assert value_of(store.load_latest()[0]) == 4.0


def test_going_back_to_the_newest_changes_nothing(store: CheckpointStore) -> None:
    before = sorted(store.folder.iterdir())
    store.go_back_to(20)
    assert sorted(store.folder.iterdir()) == before
