"""docs/metrics.md explains every number that is logged, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metarl_cli.loggers.jsonl import read_rows
from metarl_cli.testing.test_algorithms import ALGORITHMS, construct, taken

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
NAMES = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
# Logged by settings that no test here has
ELSEWHERE = {"train/return_posterior", "sac/temperature_loss", "belief/state_loss"}


def explained(metric: str) -> str | None:
    """The entry of a metric."""
    number = re.sub(r"_\d+(?=_low$|_high$|$)", "_k", metric)
    return next((name for name in (metric, number) if name in NAMES), None)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_metric_of_an_algorithm_is_explained(name: str) -> None:
    bench = construct(name, *taken(name)[0])
    for _ in range(2):
        metrics = bench.algorithm.train_step(bench.sampler) or {}
        assert [metric for metric in metrics if explained(metric) is None] == []


def test_every_metric_of_a_run_is_explained(finished: Path) -> None:
    rows = read_rows(finished / "metrics.jsonl")
    assert "test/held_out" in rows[-1]
    assert [metric for row in rows for metric in row if explained(metric) is None] == []


def test_every_entry_is_logged_by_something(finished: Path) -> None:
    logged = {explained(metric) for row in read_rows(finished / "metrics.jsonl") for metric in row}
    for name in ALGORITHMS:
        bench = construct(name, *taken(name)[0])
        for _ in range(2):
            metrics = bench.algorithm.train_step(bench.sampler) or {}
            logged |= {explained(metric) for metric in metrics}
    assert len(NAMES) == len(set(NAMES))
    assert set(NAMES) - logged == ELSEWHERE
