"""The best checkpoint is never lost, whatever happens to the file that names it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metarl_cli.runtime.checkpoint import CheckpointStore

SCORES = {1: -5.0, 2: -1.0, 3: -4.0, 4: -3.0, 5: None}  # by iteration; 10 steps each
BEST = 2
FLIPS, CUTS = 60, 40


def state(value: float) -> dict:
    rest = dict.fromkeys(("experience", "sampler", "random", "progress", "record", "identity"))
    return {"learned": {"x": torch.full((3,), value)}, **rest}


def save(store: CheckpointStore, number: int, score: float | None, *, best: bool = False) -> None:
    store.save(
        state(float(number)), env_steps=10 * number, iteration=number, score=score, best=best
    )


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    """Five checkpoints, the second the best; from here on only the last two and the best stay."""
    store = CheckpointStore(tmp_path / "checkpoints", keep=5)
    for number, score in SCORES.items():
        save(store, number, score, best=number in (1, BEST))
    store.keep = 2
    return store


def value_of(loaded: dict) -> float:
    return float(loaded["learned"]["x"][0])


def assert_best_is_used_and_survives(store: CheckpointStore, *, warned: bool) -> None:
    loaded, manifest, damaged = store.load_best()
    assert (value_of(loaded), manifest.iteration) == (BEST, BEST)
    assert bool(damaged) == warned
    assert all("best.json" in text and "\n" not in text for text in damaged)
    assert store.best() == manifest
    save(store, 6, -2.0)
    assert [m.iteration for m in store.manifests()] == [BEST, 5, 6]
    store.go_back_to(60)  # as resuming does
    assert store.best() == manifest
    assert store.best_fault() is None  # mended


def test_the_best_is_used_without_a_warning_while_nothing_is_damaged(
    store: CheckpointStore,
) -> None:
    assert_best_is_used_and_survives(store, warned=False)


@pytest.mark.parametrize("seed", range(FLIPS + CUTS))
def test_the_best_survives_flipped_bits_and_cuts_in_its_file(
    store: CheckpointStore, seed: int
) -> None:
    path, rng = store.folder / "best.json", random.Random(seed)
    intact = path.read_bytes()
    if seed < FLIPS:
        damaged = bytearray(intact)
        damaged[rng.randrange(len(intact))] ^= 1 << rng.randrange(8)
    else:
        damaged = bytearray(intact[: rng.randrange(len(intact) - 2)])
    path.write_bytes(damaged)
    try:  # a bit of white space may have changed
        same = json.loads(damaged) == json.loads(intact)
    except ValueError:
        same = False
    assert_best_is_used_and_survives(store, warned=not same)


def of_checkpoint(number: int) -> Callable[[Path], object]:
    def put(path: Path) -> None:
        shutil.copy(path.with_name(f"ckpt-{10 * number:012d}.json"), path)

    return put


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("")


def link_to_another(path: Path) -> None:
    path.symlink_to(path.with_name("ckpt-000000000030.json"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "folder": Path.mkdir,
    "full folder": full_folder,
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "large": lambda path: path.write_bytes(b" " * 10**6),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to another": link_to_another,
    "other json": lambda path: path.write_text('{"a": 1}'),
    "list": lambda path: path.write_text("[1]"),
    "deep": lambda path: path.write_text("[" * 50_000),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "an earlier checkpoint": of_checkpoint(1),
    "a later checkpoint": of_checkpoint(4),
    "a checkpoint without score": of_checkpoint(5),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_best_survives_whatever_lies_in_place_of_its_file(
    store: CheckpointStore, damage: str
) -> None:
    path = store.folder / "best.json"
    path.unlink()
    DAMAGES[damage](path)
    assert_best_is_used_and_survives(store, warned=True)


def test_a_better_checkpoint_can_be_named_in_place_of_a_folder(store: CheckpointStore) -> None:
    path = store.folder / "best.json"
    path.unlink()
    full_folder(path)
    save(store, 6, -0.5, best=True)
    assert store.load_best()[1].iteration == 6
    assert store.best_fault() is None


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_if_the_best_is_damaged_the_second_best_is_used(store: CheckpointStore, how: str) -> None:
    path = store.folder / "ckpt-000000000020.pt"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(data if how == "flipped" else data[:-1])
    loaded, _, damaged = store.load_best()
    assert value_of(loaded) == 4
    assert len(damaged) == 1


def test_without_any_score_the_newest_is_used(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", keep=5)
    for number in (1, 2):
        save(store, number, None)
    assert store.best() is None
    loaded, _, damaged = store.load_best()
    assert (value_of(loaded), damaged) == (2.0, [])


def test_a_single_checkpoint_needs_no_file_that_names_it(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    save(store, 1, -3.0)  # as `publish` does
    loaded, _, damaged = store.load_best()
    assert (value_of(loaded), damaged) == (1.0, [])


def test_leftovers_of_crashes_are_removed_at_the_next_save(store: CheckpointStore) -> None:
    orphan, half = store.folder / "ckpt-000000000055.pt", store.folder / ".ckpt-1.pt.tmp"
    foreign = store.folder / "mine.pt"
    for path in (orphan, half, foreign):
        path.write_bytes(b"x")
    damaged = store.folder / "ckpt-000000000040.json"
    damaged.write_text("{")
    save(store, 6, None)
    assert not orphan.exists() and not half.exists()
    assert foreign.exists()
    assert damaged.with_suffix(".pt").exists()  # its manifest may be mended


def test_leftovers_of_a_crash_are_removed_when_the_run_goes_on(store: CheckpointStore) -> None:
    newest = store.folder / "ckpt-000000000050.json"
    newest.unlink()  # killed before it was written
    store.go_back_to(40)
    assert not newest.with_suffix(".pt").exists()
    assert [m.iteration for m in store.manifests()] == [1, 2, 3, 4]
