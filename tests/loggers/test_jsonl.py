import json
import math

import numpy as np
import pytest
import torch

from metarl_cli.core.errors import RunError, UserError
from metarl_cli.loggers.jsonl import JsonlLogger, read_rows


def test_rows_come_back_as_written(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    logger = JsonlLogger(record_path=path)
    logger.log({"train/return_0": 1.5, "note": "ok"}, 10)
    logger.log({"a": np.float32(2.0), "b": torch.tensor(3.0), "c": np.arange(2)}, 20)
    assert read_rows(path) == [  # before close: every row is written at once
        {"env_steps": 10, "train/return_0": 1.5, "note": "ok"},
        {"env_steps": 20, "a": 2.0, "b": 3.0, "c": [0, 1]},
    ]
    logger.close("finished")
    logger.close("finished")


def test_non_finite_numbers_stay_valid_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    logger = JsonlLogger(record_path=path)
    logger.log({"a": math.nan, "b": math.inf, "c": [1.0, -math.inf], "d": np.float64("nan")}, 1)
    text = path.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "env_steps": 1, "a": None, "b": None, "c": [1.0, None], "d": None,
    }  # fmt: skip


def test_torn_last_line_is_left_out_and_cut_off_before_appending(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"env_steps": 1}\n{"env_st')
    assert read_rows(path) == [{"env_steps": 1}]
    JsonlLogger(record_path=path).log({}, 2)
    assert read_rows(path) == [{"env_steps": 1}, {"env_steps": 2}]


def test_truncate_drops_rows_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    logger = JsonlLogger(record_path=path)
    logger.log({}, 1)
    position = logger.position()
    logger.log({}, 2)
    logger.close("interrupted")

    resumed = JsonlLogger(record_path=path)
    resumed.truncate(position)
    resumed.truncate(10_000)  # a record that lost rows is not padded
    resumed.log({}, 3)
    resumed.sync()
    assert [row["env_steps"] for row in read_rows(path)] == [1, 3]


def test_full_disk_is_one_clear_line():
    logger = JsonlLogger(record_path="/dev/full")
    with pytest.raises(
        RunError, match=r"cannot write the record /dev/full: No space left on device"
    ):
        logger.log({"a": 1.0}, 1)


def test_path_that_cannot_be_opened_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the record"):
        JsonlLogger(record_path=tmp_path / "file" / "metrics.jsonl")


@pytest.mark.parametrize("how", ["removed", "replaced", "folder removed"])
def test_record_that_is_taken_away_is_noticed(tmp_path, how):
    folder = tmp_path / "run"
    logger = JsonlLogger(record_path=folder / "metrics.jsonl")
    logger.log({"a": 1}, 1)
    (folder / "metrics.jsonl").rename(tmp_path / "old")
    if how == "replaced":
        (folder / "metrics.jsonl").touch()
    if how == "folder removed":
        folder.rmdir()
    with pytest.raises(RunError, match=r"metrics.jsonl was removed or replaced while the run"):
        logger.log({"a": 2}, 2)
    assert len(read_rows(tmp_path / "old")) == 1


@pytest.mark.parametrize("number", ["1" * 21, "9" * 5000])
def test_number_of_too_many_digits_is_a_damaged_row(tmp_path, number):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"env_steps": 1, "a": {number}}}\n')
    with pytest.raises(UserError, match="line 1: damaged"):
        read_rows(path)
