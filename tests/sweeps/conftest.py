"""A place for jobs: an empty folder, and an environment that gets them into trouble."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jobs_in_trouble import TROUBLE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with the environment of mischief on the path of all processes."""
    (tmp_path / "trouble.py").write_text(TROUBLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    monkeypatch.setenv("WANDB_MODE", "offline")
    return tmp_path
