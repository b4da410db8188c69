"""`metarl train` on folders that hold runs: swept again, or restarted by a batch system."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metarl_cli.cli import main
from metarl_cli.loggers.jsonl import read_rows

Call = Callable[..., int]
SWEEP = Path("outputs/sweep/again")
RUN = Path("outputs/train/run")


@pytest.fixture
def sweep(here: Path, tiny: list[str]) -> Call:
    """Sweep two seeds into one and the same folder; returns the exit code."""
    where = [f"hydra.sweep.dir={SWEEP}", "hydra.sweep.subdir=s${seed}", "hydra/launcher=basic"]
    return lambda *words: main(["train", "-m", *tiny[:-1], "seed=0,1", *where, *words])


def leave_unfinished(run: Path) -> None:
    """Make a finished run look as if it had been killed after its first checkpoint."""
    for path in sorted(run.glob("checkpoints/ckpt-*"))[2:]:
        path.unlink()
    (run / "checkpoints/best.json").unlink()
    (run / "eval.json").unlink()
    meta = run / "meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"status": "running"}))


def rows(run: Path) -> list[dict]:
    """The record without what depends on the clock."""
    kept = read_rows(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in kept]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sweep_started_again_skips_what_is_finished_and_resumes_what_is_not(
    sweep: Call, capsys: pytest.CaptureFixture
) -> None:
    assert sweep() == 0
    whole, evaluation = rows(SWEEP / "s1"), (SWEEP / "s1/eval.json").read_bytes()
    leave_unfinished(SWEEP / "s1")
    finished = files(SWEEP / "s0")
    capsys.readouterr()

    assert sweep() == 0
    assert f"{SWEEP}/s0 holds this run, finished: skipped\n" in capsys.readouterr().err
    assert files(SWEEP / "s0") == finished
    assert rows(SWEEP / "s1") == whole
    assert (SWEEP / "s1/eval.json").read_bytes() == evaluation
    meta = json.loads((SWEEP / "s1/meta.json").read_text())
    assert meta["status"] == "finished"
    assert "resumed" in meta  # so it was not trained from the beginning

    everything = files(SWEEP)
    assert sweep() == 0
    assert {path for path, content in files(SWEEP).items() if everything[path] != content} <= {
        SWEEP / "multirun.yaml"
    }


def test_folder_with_a_run_of_other_settings_is_refused_in_one_line(
    sweep: Call, capsys: pytest.CaptureFixture
) -> None:
    assert sweep() == 0
    before = files(SWEEP / "s0")
    capsys.readouterr()
    assert sweep("algo.num_tasks=3") == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("metarl: ")]
    line = "holds a run with algo.num_tasks=2, not algo.num_tasks=3: another hydra.sweep.dir keeps"
    assert len(lines) == 2
    assert all(line in x for x in lines)
    assert files(SWEEP / "s0") == before


def test_key_that_only_one_of_both_runs_has_is_named(
    sweep: Call, capsys: pytest.CaptureFixture
) -> None:
    assert sweep() == 0
    capsys.readouterr()
    assert sweep("logger=[jsonl,console]") == 2
    shown = capsys.readouterr().err
    assert "holds a run with no logger.console._target_, not logger.console._target_=" in shown


@pytest.mark.parametrize("name", ["SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"])
def test_job_that_a_batch_system_starts_again_resumes_in_its_folder(
    run: Path, train: Call, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = rows(RUN)
    leave_unfinished(RUN)
    monkeypatch.setenv(name, "1")
    assert train() == 0
    assert rows(RUN) == whole
    assert "resumed" in json.loads((RUN / "meta.json").read_text())


def test_first_start_of_a_job_is_no_restart(
    run: Path, train: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    assert train() == 2
    assert "holds a run; continue it with resume=" in capsys.readouterr().err


def test_run_killed_before_its_first_checkpoint_begins_anew(sweep: Call) -> None:
    assert sweep() == 0
    whole = rows(SWEEP / "s1")
    shutil.rmtree(SWEEP / "s1/checkpoints")
    assert sweep("algo.num_tasks=2") == 0
    assert rows(SWEEP / "s1") == whole
