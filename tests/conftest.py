"""Fixtures shared by all tests: the command line as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Metarl = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def metarl(tmp_path: Path) -> Metarl:
    """Run `metarl <arguments>` in an empty folder; extra keywords are environment variables."""

    def run(
        *arguments: str, timeout_s: float = 120, **variables: str
    ) -> subprocess.CompletedProcess:
        environment = {key: value for key, value in os.environ.items() if key != "METARL_DEBUG"}
        environment |= {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", **variables}
        return subprocess.run(
            [sys.executable, "-m", "metarl_cli.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    return run
