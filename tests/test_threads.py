"""How idle threads of torch wait: as the user says, else asleep; on a calm machine not at once."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import metarl_cli
from metarl_cli.core import paths

CALM, BUSY = 0.0, 1e6
ROOT = Path(__file__).resolve().parents[1]
AN_ITERATION = """
import hashlib, torch
from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
settings = "env=gridnavi algo=rl2 algo.num_tasks=64 seed=0 threads=2 logger=[]"
cfg = compose("train", settings.split())
check(cfg)
parts = assemble(cfg)
parts.algorithm.train_step(parts.training_sampler())
assert parts.threads == torch.get_num_threads() == 2
sha = hashlib.sha256()
for part in parts.algorithm.learned().values():
    if isinstance(part, torch.nn.Module):
        for p in part.parameters():
            sha.update(p.detach().numpy().tobytes())
print(sha.hexdigest())
"""


def settings(
    monkeypatch: pytest.MonkeyPatch, load: float, **given: str
) -> tuple[str | None, str | None]:
    """Return policy and spin count after an import in an environment with `given` variables."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(paths, "cores_in_use", lambda: load)
    importlib.reload(metarl_cli)
    return os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")


def test_threads_spin_shortly_on_a_calm_machine_and_not_on_a_busy_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert settings(monkeypatch, CALM) == ("PASSIVE", "10000")
    assert settings(monkeypatch, BUSY) == ("PASSIVE", None)


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, CALM, OMP_WAIT_POLICY="ACTIVE") == ("ACTIVE", None)
    assert settings(monkeypatch, CALM, GOMP_SPINCOUNT="7") == ("PASSIVE", "7")
    assert settings(monkeypatch, BUSY, GOMP_SPINCOUNT="7") == ("PASSIVE", "7")


@pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="needs Linux")
def test_a_run_that_has_just_ended_and_a_moment_of_work_are_no_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (BUSY, BUSY, BUSY))
    assert 0 <= paths.cores_in_use() < BUSY
    monkeypatch.setattr(os, "getloadavg", lambda: (CALM, CALM, CALM))
    assert paths.cores_in_use() == CALM


def weights_after_an_iteration(**waiting: str) -> str:
    """Return a digest of what two threads have learned that wait in this way."""
    environment = {k: v for k, v in os.environ.items() if "OMP_" not in k and "GOMP" not in k}
    done = subprocess.run(
        [sys.executable, "-c", AN_ITERATION],
        env=environment | {"PYTHONPATH": str(ROOT)} | waiting,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_how_threads_wait_moves_no_bit() -> None:
    asleep = weights_after_an_iteration(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0")
    spinning = weights_after_an_iteration(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="10000")
    assert len(asleep.strip()) == 64
    assert spinning == asleep
