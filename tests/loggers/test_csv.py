import csv

from metarl_cli.loggers.csv import CsvLogger


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_come_back_as_they_were_and_columns_come_up_later(tmp_path):
    logger = CsvLogger(run_dir=tmp_path)
    logger.log({"train/a": 0.1}, 10)
    logger.log({"train/a": 1 / 3, "eval/b": float("nan"), 'odd,"name': 2}, 20)
    logger.close("finished")
    assert rows(tmp_path / "metrics.csv") == [
        {"env_steps": "10", "train/a": "0.1", "eval/b": "", 'odd,"name': ""},
        {"env_steps": "20", "train/a": repr(1 / 3), "eval/b": "", 'odd,"name': "2"},
    ]


def test_resumed_run_drops_what_comes_again_and_the_final_test(tmp_path):
    logger = CsvLogger(run_dir=tmp_path)
    for step in (10, 20, 30):
        logger.log({"a": step}, step)
    logger.log({"test/online_0": 1.0}, 30)
    with logger.path.open("a") as file:
        file.write("40,4")  # torn
    again = CsvLogger(run_dir=tmp_path, initial_step=30)
    assert [row["env_steps"] for row in rows(again.path)] == ["10", "20", "30"]
    again = CsvLogger(run_dir=tmp_path, initial_step=20)
    again.log({"a": 5, "b": 6}, 30)
    assert [(row["env_steps"], row["a"], row["b"]) for row in rows(again.path)] == [
        ("10", "10", ""), ("20", "20", ""), ("30", "5", "6"),
    ]  # fmt: skip


def test_new_run_begins_with_an_empty_table(tmp_path):
    (tmp_path / "metrics.csv").write_text("env_steps,a\n5,1\n")
    CsvLogger(run_dir=tmp_path).log({"b": 2}, 1)
    assert rows(tmp_path / "metrics.csv") == [{"env_steps": "1", "b": "2"}]
