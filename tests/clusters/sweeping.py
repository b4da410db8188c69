"""Sweeps on clusters of one machine: what they are started with, and what they must leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from helpers import TINY

from metarl_cli.loggers.jsonl import read_rows

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS = 60
STEPS_OF_ONE = 120  # at most
SETTINGS = [
    *TINY,
    f"budget.env_steps={ITERATIONS * STEPS_OF_ONE}",
    f"budget.checkpoint_every={10 * STEPS_OF_ONE}",
]
WAIT_S = 900.0


class Sweep:
    """A sweep over seeds in `<folder>/outputs`, started as a user would."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment
        self._started: list[subprocess.Popen] = []

    def start(self, *words: str) -> subprocess.Popen:
        """Start `metarl train -m <words>` with tiny settings."""
        where = ["hydra.sweep.dir=outputs", "hydra.sweep.subdir=s${seed}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "metarl_cli.cli", "train", "-m", *SETTINGS, *where, *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *words: str) -> str:
        """Run it to its good end and return what it says."""
        return finish(self.start(*words))

    def record(self, seed: int) -> list[dict[str, Any]]:
        """Return the rows of a run so far, without what depends on the clock."""
        path = self.folder / f"outputs/s{seed}/metrics.jsonl"
        rows = read_rows(path) if path.is_file() else []
        return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]

    def meta(self, seed: int) -> dict[str, Any]:
        """Return what a run tells of itself."""
        return json.loads((self.folder / f"outputs/s{seed}/meta.json").read_text())

    def wait_for_rows(self, seed: int, number: int) -> None:
        """Wait until a run has written so many rows."""
        end = time.monotonic() + WAIT_S
        while len(self.record(seed)) < number:
            assert time.monotonic() < end
            time.sleep(0.02)

    def end(self) -> None:
        """End what a failed test has left running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()


def finish(process: subprocess.Popen) -> str:
    """Wait for the good end of a sweep and return what it says."""
    said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    return said


def require_as_whole(sweep: Sweep, seed: int, whole: Sweep) -> None:
    """Compare a run, row by row and bit by bit, with one that nobody interrupted."""
    rows = sweep.record(seed)
    iterations = [row["iteration"] for row in rows if "iteration" in row]
    assert iterations == list(range(1, len(iterations) + 1))
    assert len(iterations) >= ITERATIONS
    assert rows == whole.record(seed)
    assert sweep.meta(seed)["status"] == "finished"
    assert "resumed" in sweep.meta(seed)
