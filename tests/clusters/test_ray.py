"""`hydra/launcher=ray` on a Ray of this machine; skipped with a word where there is none."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from sweeping import WAIT_S, Sweep, finish, require_as_whole

# Settings of Ray's: no files in the home folder; time to start, and a share, on a busy machine
QUIET = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_niceness": "0",
}
RAY = ["hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs pip install 'metarl-cli[ray]'"
    ),
]


def test_sweep_of_four_finishes_and_the_job_of_a_killed_worker_goes_on_in_its_folder(
    sweep_in: Callable[..., Sweep], whole: Sweep
) -> None:
    sweep = sweep_in("ray", **QUIET)
    process = sweep.start("seed=0,1,2,3", *RAY)
    sweep.wait_for_rows(0, 3)  # the first checkpoint has been written
    os.kill(holder_of(sweep.folder / "outputs/s0/.lock"), signal.SIGKILL)
    finish(process)
    assert [sweep.meta(seed)["status"] for seed in range(4)] == ["finished"] * 4
    require_as_whole(sweep, 0, whole)


def test_job_with_a_wrong_setting_gives_its_exit_code(sweep_in: Callable[..., Sweep]) -> None:
    sweep = sweep_in("wrong", **QUIET)
    process = sweep.start("seed=0", "algo.inner.step_size=-1,0.1", "budget.env_steps=120", *RAY)
    said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2, said
    assert "metarl: algo.inner: step_size: got -1" in said
    assert "Traceback" not in said


def holder_of(lock: Path) -> int:
    """Return the process that has a file open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(link.resolve() == lock for link in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:  # gone, or somebody else's
            continue
    raise AssertionError(f"nobody holds {lock}")
