"""Commands start without the libraries that they do not need, the dear ones above all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = "budget=smoke curves=false hydra.run.dir=run algo.num_tasks=4"
DEAR = {"torch._dynamo", "sympy", "matplotlib", "mujoco", "scipy"}


def imported(folder: Path, *words: str) -> set[str]:
    """Run `metarl <words>` in a process of its own; return the names of all modules it imports."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "metarl_cli.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stderr.splitlines()
    return {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize("words", [[], ["runs"], ["algos"], ["algo=maml"]], ids=" ".join)
def test_lists_need_no_torch(tmp_path: Path, words: list[str]) -> None:
    names = imported(tmp_path, "list", *words)
    assert "rich.table" in names  # the names are really read
    assert "torch" not in names


def test_training_and_testing_load_neither_a_compiler_nor_plots(tmp_path: Path) -> None:
    for words in (f"train env=gridnavi algo=rl2 logger=[] {SMOKE}", "eval checkpoint=run"):
        names = imported(tmp_path, *words.split())
        assert "torch" in names
        assert sorted({*DEAR, "wandb"} & names) == []


def test_a_run_in_wandb_loads_nothing_that_starts_jobs(tmp_path: Path) -> None:
    """MAML multiplies by Jacobians, for which torch would load sympy."""
    words = f"train env=point_nav algo=maml env.horizon=5 logger=[wandb] {SMOKE}"
    names = imported(tmp_path, *words.split(), "logger.wandb.mode=offline")
    assert (tmp_path / "run" / "wandb" / "latest-run").exists()
    assert sorted({*DEAR, "wandb.sdk.launch"} & names) == []
