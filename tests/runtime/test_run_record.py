"""A run folder is read as data: typed, limited, and what is wrong with it is one line."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from metarl_cli.core.errors import UserError
from metarl_cli.runtime.evaluation import Evaluation, read_evaluation
from metarl_cli.runtime.run_record import Identity, RunRecord

REFERENCE = Path(__file__).resolve().parents[2] / "outputs" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/eval.json"))
META = {
    "status": "finished",
    "env": "point_nav",
    "algo": "maml",
    "seed": 3,
    "command": ["metarl", "train", "experiment=maml/point_nav"],
    "packages": {"torch": "2.13.0", "wandb": None},
    "env_steps": 360,
    "wall_s": 2,
    "wandb_run_id": "abc",
    "from_the_future": {"a": 1},
}
CELL = {"mean": -1.0, "low": -2.0, "high": 0.0}
EVALUATION = {
    "env": "point_nav",
    "algo": "maml",
    "checkpoint": "ckpt-000000000120.pt",
    "env_steps": 120,
    "test_seed": 1,
    "num_tasks": 1,
    "envs_per_task": 2,
    "test_env_steps": 80,
    "episodes": [{"index": 0, "online": CELL, "success": None, "info": {"speed": 2}}],
    "tasks": [{"params": [0.5], "online": [-1.0], "info": {"speed": [2.0]}}],
}


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    """A run with its facts, three rows of which the last is torn, and a meta-test."""
    (tmp_path / "meta.json").write_text(json.dumps(META))
    (tmp_path / "metrics.jsonl").write_text('{"env_steps": 1}\n\n{"env_steps": 2, "a": 3}\n{"en')
    (tmp_path / "eval.json").write_text(json.dumps(EVALUATION))
    return RunRecord(tmp_path)


def one_line(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_facts_are_typed_and_unknown_ones_left_out(run: RunRecord) -> None:
    known = run.identity
    assert (known.status, known.seed, known.wall_s, known.threads) == ("finished", 3, 2.0, None)
    assert known.packages == {"torch": "2.13.0", "wandb": None}
    assert known.experiment == "maml/point_nav"  # off the command line
    assert known.title == "maml on point_nav"
    assert run.fault is None
    assert "wandb_run_id" not in known.published() and "threads" not in known.published()
    elsewhere = replace(known, command=["metarl", "train", "hydra.run.dir=/home/me/x", "seed=1"])
    assert elsewhere.published()["command"] == ["metarl", "train", "seed=1"]


def test_fact_of_the_wrong_type_is_unknown_and_a_fault(run: RunRecord) -> None:
    run.files.meta.write_text(json.dumps(META | {"seed": "3", "command": ["a", 1]}))
    assert (run.identity.seed, run.identity.command, run.identity.env) == (None, None, "point_nav")
    assert "is damaged: seed must be int" in (run.fault or "")


def test_rows_are_read_one_by_one_and_a_torn_last_one_is_left_out(run: RunRecord) -> None:
    rows = run.rows()
    assert next(rows) == {"env_steps": 1}
    assert list(rows) == [{"env_steps": 2, "a": 3}]


def test_test_that_ends_a_run_is_found_under_its_present_names(run: RunRecord) -> None:
    """It used to be recorded under those of validation, and marked."""
    old = '{"env_steps": 2, "eval/online_0": 3.0, "eval/held_out": 1.0, "iteration": 4}\n'
    run.files.record.write_text('{"env_steps": 1, "eval/online_0": 2.0}\n' + old)
    validation, test = run.rows()
    assert validation == {"env_steps": 1, "eval/online_0": 2.0}
    assert test == {"env_steps": 2, "test/online_0": 3.0, "test/held_out": 1.0, "iteration": 4}


@pytest.mark.parametrize("name", RUNS)
def test_every_published_record_ends_with_its_test(name: str) -> None:
    *training, test = RunRecord(REFERENCE / name).rows()
    assert not [key for key in test if key.startswith("eval/")]
    assert not [key for row in training for key in row if key.startswith("test/")]
    reached = RunRecord(REFERENCE / name).evaluation().last
    assert test[f"test/online_{reached.index}"] == pytest.approx(reached.online.mean, rel=1e-5)


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", "{}", '{"env_steps": "1"}', "\xff", "[" * 90_000, "x" * 2**21],
    ids=["torn", "list", "empty", "text", "binary", "deep", "long"],
)
def test_damaged_row_is_named(run: RunRecord, line: str) -> None:
    run.files.record.write_text('{"env_steps": 1}\n' + line + "\n", encoding="latin-1")
    assert "metrics.jsonl, line 2" in one_line(lambda: list(run.rows()))


def test_evaluation_is_typed(run: RunRecord) -> None:
    found = run.evaluation()
    assert (found.last.online.mean, found.last.probe, found.last.info) == (-1.0, None, {"speed": 2})
    assert (found.unstable, found.same_tasks) == (0, None)
    assert found.in_words() == "1 test task"  # nobody wrote down whether it was held out


@pytest.mark.parametrize("name", RUNS)
def test_every_published_evaluation_is_read_and_would_be_written_with_the_same_content(
    name: str, tmp_path: Path
) -> None:
    path = REFERENCE / name / "eval.json"
    found = read_evaluation(path)
    old, new = json.loads(path.read_text()), found.to_json()
    assert {"unstable": 0} | old == new
    assert [key for key in new if key in old] == list(old)
    found.write(tmp_path / "eval.json")
    assert read_evaluation(tmp_path / "eval.json") == found
    assert RunRecord(path.parent).fault is None
    assert RunRecord(path.parent).identity.status == "finished"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"episodes": []}, "it has no episodes"),
        ({"episodes": [{"index": 0}]}, "it.episodes[0].online is missing"),
        ({"episodes": {}}, "it.episodes must be a list"),
        ({"num_tasks": True}, "it.num_tasks must be int"),
        ({"tasks": [{"params": ["x"], "online": []}]}, "it.tasks[0].params[0] must be a number"),
        ({"env": None}, "it.env must be text"),
    ],
)
def test_wrong_field_of_an_evaluation_is_named(run: RunRecord, change: dict, line: str) -> None:
    run.files.evaluation.write_text(json.dumps(EVALUATION | change))
    assert line in one_line(run.evaluation)


def test_flipped_bits_of_an_evaluation_are_read_or_refused_in_one_line(run: RunRecord) -> None:
    intact, rng, refused = run.files.evaluation.read_bytes(), random.Random(0), 0
    for _ in range(200):
        damaged = bytearray(intact)
        damaged[rng.randrange(len(intact))] ^= 1 << rng.randrange(8)
        run.files.evaluation.write_bytes(damaged)
        try:
            assert isinstance(run.evaluation(), Evaluation)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100


OTHERS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,  # opening it would wait for ever
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_regular_file_is_refused_at_once(run: RunRecord, kind: str) -> None:
    for path in (run.files.meta, run.files.record, run.files.evaluation):
        path.unlink()
        OTHERS[kind](path)
    assert "metrics.jsonl" in one_line(lambda: list(run.rows()))
    assert "eval.json" in one_line(run.evaluation)
    assert run.identity == Identity()
    assert "meta.json" in (run.fault or "")


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{", "[" * 90_000, "\xff", " " * 10**7],
    ids=["empty", "list", "torn", "deep", "binary", "large"],
)
def test_facts_that_cannot_be_read_are_none_and_a_fault(run: RunRecord, content: str) -> None:
    run.files.meta.write_text(content, encoding="latin-1")
    assert run.identity == Identity()
    assert "meta.json" in (run.fault or "") and "\n" not in (run.fault or "")


def test_checkpoints_are_known_by_their_manifests() -> None:
    checkpoints = RunRecord(REFERENCE / "cheetah_vel_u03-maml").checkpoints()
    (manifest,) = checkpoints.manifests()
    assert manifest.env_steps == 1_280_000
    assert checkpoints.best() == manifest


@pytest.mark.parametrize("name", RUNS)
def test_config_is_a_plain_mapping(name: str) -> None:
    run = RunRecord(REFERENCE / name)
    loaded = OmegaConf.to_container(OmegaConf.load(run.files.config), resolve=True)
    assert run.config() == loaded


@pytest.mark.parametrize(
    "text", ["a: &a [1]\nb: *a\n", "a: ${oc.env:HOME}", "[1]", "a: {", "a: !!python/name:os.system"]
)
def test_config_that_is_more_or_less_than_a_plain_mapping_is_refused(
    run: RunRecord, text: str
) -> None:
    run.files.config.write_text(text)
    assert "config" in one_line(run.config)
