"""Jobs of a sweep, here and in the processes of launchers."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from metarl_cli.cli import main
from metarl_cli.config.run import JobError, SweepTask


def code_in(cfg: DictConfig) -> int:
    """A job that ends as its settings say."""
    if cfg.code is None:
        raise KeyError("a defect")
    return cfg.code


def ending_with(code: int | None) -> DictConfig:
    return OmegaConf.create({"code": code})


def elsewhere(task: SweepTask) -> SweepTask:
    return pickle.loads(pickle.dumps(task))


def test_jobs_of_this_process_are_noted_and_never_stop_the_others() -> None:
    task = SweepTask(code_in)
    for code in (0, 2, 1):
        task(ending_with(code))
    assert task.codes == [0, 2, 1]


def test_failed_job_in_another_process_is_told_by_an_error_that_travels() -> None:
    task = elsewhere(SweepTask(code_in))
    task(ending_with(0))
    with pytest.raises(JobError) as raised:
        task(ending_with(2))
    assert pickle.loads(pickle.dumps(raised.value)).code == 2


def test_stopped_job_ends_its_process_wherever_it_is() -> None:
    for task in (SweepTask(code_in), elsewhere(SweepTask(code_in))):
        with pytest.raises(SystemExit) as raised:
            task(ending_with(75))
        assert raised.value.code == 75


def test_defect_in_another_process_stands_in_the_log_of_its_job(
    capsys: pytest.CaptureFixture,
) -> None:
    with pytest.raises(JobError) as raised:
        elsewhere(SweepTask(code_in))(ending_with(None))
    assert raised.value.code == 1
    assert "KeyError: 'a defect'" in capsys.readouterr().err
    with pytest.raises(KeyError):
        SweepTask(code_in)(ending_with(None))


def test_job_in_another_process_knows_what_the_user_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    task = SweepTask(code_in, typed=["python", "metarl", "train", "seed=0,1"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "worker.py"])
    elsewhere(task)(ending_with(0))
    assert sys.orig_argv == ["python", "metarl", "train", "seed=0,1"]


@pytest.mark.parametrize(("launcher", "plugin"), [("slurm", "submitit"), ("ray", "ray")])
def test_launcher_that_is_not_installed_is_one_line_that_says_what_to_install(
    launcher: str,
    plugin: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["metarl"])
    target = f"hydra.launcher._target_=hydra_plugins.hydra_{plugin}_launcher.Absent"
    words = ["train", "-m", "env=point_nav", "seed=0,1", f"hydra/launcher={launcher}", target]
    assert main(words) == 2
    shown = capsys.readouterr().err.strip()
    assert shown == f"metarl: hydra/launcher={launcher} needs pip install 'metarl-cli[{launcher}]'"
