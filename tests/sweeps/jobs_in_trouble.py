"""An environment that kills, fails or hangs its process, for jobs that are in trouble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from helpers import TINY

from metarl_cli.loggers.jsonl import read_rows

TROUBLE = '''
"""PointNav with mischief: `<what>-<after how many simulated steps>-<name>`."""

import os
import signal
import time
from pathlib import Path

from metarl_cli.envs.points.point import PointNav, PointNavBatch

STEPS = [0]


class Trouble(PointNav):
    def __init__(
        self, *, goal_range, max_step, reach_tolerance, horizon, mischief: str = "none-0-it"
    ) -> None:
        super().__init__(
            goal_range=goal_range,
            max_step=max_step,
            reach_tolerance=reach_tolerance,
            horizon=horizon,
        )
        self.mischief = mischief

    def batch(self, num_envs, *, threads=1):
        return TroubleBatch(self, num_envs)


class TroubleBatch(PointNavBatch):
    def simulate(self, actions, rows):
        what, after, name = self.family.mischief.split("-")
        STEPS[0] += 1
        if STEPS[0] == int(after):
            globals()[what](Path(f"{what}-{name}"))
        return super().simulate(actions, rows)


def kill(marker):
    """Die without a word, the first time only."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def fail(marker):
    raise RuntimeError("mischief")


def hang(marker):
    """Never come back, the first time only; a signal ends it."""
    if not marker.exists():
        marker.write_text(str(os.getpid()))
        time.sleep(100_000)


def stick(marker):
    """Never come back and take no notice of signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    marker.write_text(str(os.getpid()))
    time.sleep(100_000)
'''
SETTINGS = [
    *TINY[:-1],
    "plugins=[trouble]",
    "env._target_=trouble.Trouble",
    "budget.env_steps=360",
    "budget.eval_every=120",
    "budget.checkpoint_every=120",
]
AFTER_A_CHECKPOINT = 100  # simulated steps: the first iteration and its evaluation take 80


def mischief(what: str, after: int, name: str) -> str:
    """The setting that makes a job do something after so many simulated steps."""
    return f"+env.mischief={what}-{after}-{name}"


def assert_same_run(one: Path, other: Path) -> None:
    """Compare the records without the clock, the final parameters and the results, bit by bit."""
    assert rows(one) == rows(other)
    policies = [policy(folder) for folder in (one, other)]
    assert policies[0].keys() == policies[1].keys()
    assert all(torch.equal(x, policies[1][name]) for name, x in policies[0].items())
    results = [json.loads((folder / "eval.json").read_text()) for folder in (one, other)]
    assert results[0] == results[1]


def rows(run: Path) -> list[dict[str, Any]]:
    """The record without what depends on the clock."""
    kept = read_rows(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]


def policy(run: Path) -> dict[str, torch.Tensor]:
    """Parameters of the newest checkpoint."""
    newest = max(run.glob("checkpoints/ckpt-*.pt"))
    return torch.load(newest, weights_only=True)["learned"]["policy"]
