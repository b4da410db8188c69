"""`hydra/launcher=slurm` on a real Slurm; skipped with a word where there is none."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from one_node_slurm import OneNodeSlurm, missing, one_node_slurm, wait_until
from sweeping import ROOT, SETTINGS, WAIT_S, Sweep, finish, require_as_whole

LAUNCHER = importlib.util.find_spec("submitit")
SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.skipif(LAUNCHER is None, reason="needs pip install 'metarl-cli[slurm]'"),
]


@pytest.fixture(scope="module")
def slurm() -> Iterator[OneNodeSlurm]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    with one_node_slurm(folder) as running:
        yield running
    shutil.rmtree(folder)


def test_requeued_and_warned_jobs_go_on_in_their_folders_as_if_nothing_had_been(
    slurm: OneNodeSlurm, sweep_in: Callable[..., Sweep], whole: Sweep
) -> None:
    sweep = sweep_in("preempted", **slurm.environment)
    process = sweep.start("seed=0,1", *SLURM)
    for seed in (0, 1):
        sweep.wait_for_rows(seed, 3)
    first, second = slurm.jobs()
    slurm("scontrol", "requeue", first)  # as preemption does
    slurm("scancel", "--signal=USR2", second)  # as comes before a time limit
    finish(process)
    for seed in (0, 1):
        require_as_whole(sweep, seed, whole)
        assert sweep.meta(seed)["resumed"]["command"][:3] == ["metarl", "train", "-m"]
    again = sweep.run("seed=0,1", *SLURM)
    assert "Error" not in again
    logs = [path.read_text() for path in sweep.folder.glob("outputs/.submitit/*/*_log.err")]
    assert sum("holds this run, finished: skipped" in log for log in logs) == 2


def test_batch_script_of_the_documentation_goes_on_after_its_time_limit(
    slurm: OneNodeSlurm, sweep_in: Callable[..., Sweep], whole: Sweep
) -> None:
    """The words of docs/clusters.md with a smaller run; the warning comes by hand."""
    page = (ROOT / "docs/clusters.md").read_text()
    words = re.findall(r"```sbatch\n(.*?)```", page, re.DOTALL)[0]
    small = {
        "metarl train": f"{sys.executable} -m metarl_cli.cli train",
        "env=cheetah_vel": shlex.join(SETTINGS),
        "outputs/train/my-run": "outputs/s0",
        "--cpus-per-task=4": "--cpus-per-task=1",
    }
    for long, short in small.items():
        assert long in words
        words = words.replace(long, short)
    single = sweep_in("single")
    (single.folder / "job.sh").write_text(words)
    options = [f"--chdir={single.folder}", f"--export=ALL,PYTHONPATH={ROOT}"]
    job = slurm("sbatch", "--parsable", *options, str(single.folder / "job.sh")).strip()
    single.wait_for_rows(0, 3)
    slurm("scancel", "--signal=USR2", job)
    wait_until(lambda: job not in slurm.jobs(), WAIT_S)
    require_as_whole(single, 0, whole)


def test_failed_job_is_named_and_gives_its_exit_code(
    slurm: OneNodeSlurm, sweep_in: Callable[..., Sweep]
) -> None:
    sweep = sweep_in("failing", **slurm.environment)
    process = sweep.start("seed=0", "algo.inner.step_size=-1,0.1", *SLURM, "budget.env_steps=120")
    said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2, said
    assert "Error executing job with overrides:" in said
    assert "algo.inner.step_size=-1" in said.partition("Error executing job")[2].splitlines()[0]
    assert "Traceback" not in said
