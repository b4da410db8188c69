"""Every published run still measures what its eval.json says, by the command that users type.

Bit for bit on the platform and with the packages that it was measured with. Elsewhere physics and
matrix products round differently, and episodes drift apart: on another machine of the same kind
means moved by at most 2 % of their intervals, single tasks by at most 11 % of their spread.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from metarl_cli.cli import main
from metarl_cli.runtime.evaluation import Evaluation, Interval, read_evaluation
from metarl_cli.runtime.run_record import Identity, RunRecord

REFERENCE = Path(__file__).resolve().parents[2] / "outputs" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/eval.json"))
DECIDING = ("torch", "mujoco", "numpy")  # packages that compute
OF_INTERVAL, OF_SPREAD = 0.05, 0.25


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_run_measures_again_what_it_published(
    name: str, tmp_path: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, again = RunRecord(REFERENCE / name), tmp_path / "eval.json"
    threads = run.identity.threads
    monkeypatch.chdir(tmp_path)
    assert main(["eval", f"checkpoint={run.folder}", f"threads={threads}", f"output={again}"]) == 0
    published, measured = run.evaluation(), read_evaluation(again)
    assert measured.same_tasks is not None
    assert measured.env_steps == published.env_steps
    assert [row.params for row in measured.tasks] == [row.params for row in published.tasks]
    if _made_here(run.identity):
        assert measured.episodes == published.episodes
        assert measured.tasks == published.tasks
    else:
        _assert_close(measured, published)


def _made_here(identity: Identity) -> bool:
    packages = identity.packages or {}
    same = all(packages.get(name) == version(name) for name in DECIDING)
    return same and identity.platform == platform.platform()


def _assert_close(measured: Evaluation, published: Evaluation) -> None:
    for new, old in zip(measured.episodes, published.episodes, strict=True):
        _assert_close_means(new.online, old.online)
        assert (new.probe is None) == (old.probe is None)
        if new.probe and old.probe:
            _assert_close_means(new.probe, old.probe)
    new_tasks, old_tasks = (
        np.array([row.online for row in x.tasks]) for x in (measured, published)
    )
    np.testing.assert_allclose(new_tasks, old_tasks, rtol=0, atol=OF_SPREAD * np.ptp(old_tasks))


def _assert_close_means(new: Interval, old: Interval) -> None:
    tolerance = max(OF_INTERVAL * (old.high - old.low), 1e-3 * abs(old.mean))
    assert new.mean == pytest.approx(old.mean, abs=tolerance)
