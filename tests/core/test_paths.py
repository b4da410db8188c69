"""What the project may use of the machine."""

from __future__ import annotations

import pytest

from metarl_cli.core.paths import usable_cores


@pytest.mark.parametrize(
    ("asked", "usable"), [("1", 1), ("2", 2), ("64", 4), ("", 4), ("0", 4), ("many", 4)]
)
def test_job_on_slurm_uses_no_more_cores_than_it_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str, usable: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(4)), raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", asked)
    assert usable_cores() == usable
