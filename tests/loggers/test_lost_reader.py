"""Readers of stdout and stderr that leave: words are lost, nothing else."""

from __future__ import annotations

import contextlib
import os

import pytest
from rich.console import Console

from metarl_cli.loggers.console import ConsoleLogger, LastingConsole
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.loggers.jsonl import JsonlLogger, read_rows


@pytest.fixture
def lost():
    """A stream whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    yield stream
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def logger_on(console: Console) -> ConsoleLogger:
    return ConsoleLogger(0.0, total_steps=100, title="maml on point_nav", console=console)


def test_rows_are_recorded_after_the_reader_has_left(lost, tmp_path):
    record = JsonlLogger(record_path=tmp_path / "metrics.jsonl")
    loggers = Fanout([logger_on(LastingConsole(file=lost)), record])
    for step in (10, 20, 30):
        loggers.log({"train/return_0": 1.0}, step)
        loggers.notice("still there")
    loggers.close("finished")
    assert [row["env_steps"] for row in read_rows(tmp_path / "metrics.jsonl")] == [10, 20, 30]


def test_live_display_survives_its_terminal(lost, tmp_path):
    console = LastingConsole(file=lost, force_terminal=True, width=80)
    logger = logger_on(console)
    for step in (10, 20):
        logger.log({"train/return_0": 1.0}, step)
    logger.close("finished")
    assert console.quiet


def test_full_device_breaks_the_console_and_not_the_record(tmp_path, capsys):
    record = JsonlLogger(record_path=tmp_path / "metrics.jsonl")
    with open("/dev/full", "w", buffering=1) as full:
        loggers = Fanout([logger_on(LastingConsole(file=full)), record])
        loggers.log({"train/return_0": 1.0}, 10)
        loggers.log({"train/return_0": 1.0}, 20)
        loggers.close("finished")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    assert "ConsoleLogger stopped working, the run goes on" in capsys.readouterr().err
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 2
