"""`metarl doctor` reports what is broken or missing; it raises nothing and needs no torch."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from metarl_cli.cli import main
from metarl_cli.commands import doctor
from metarl_cli.commands.parts import probes
from metarl_cli.commands.parts.probes import Trials

GOOD = 'import json; print(json.dumps({"version": "9.9", "threads": 2, "gpu": None}))'
BROKEN = 'print("noise"); raise ImportError("libcudart.so is missing")'
SLOW = "import time; time.sleep(60)"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An empty folder and home, libraries that work at once, and a width of 80."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(probes, "TRIALS", dict.fromkeys(probes.TRIALS, GOOD))
    monkeypatch.setattr(Trials.__init__, "__defaults__", (60.0,))
    return monkeypatch


def lines_of(shown: str, what: str) -> str:
    """The block of a finding, on one line."""
    blocks: list[list[str]] = []
    for text in shown.splitlines():
        if text[:1].strip():
            blocks.append([])
        blocks[-1:] and blocks[-1].append(text.strip())
    return next(" ".join(block) for block in blocks if what in block[0].split()[:2])


def test_all_that_is_needed_works(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert lines_of(shown, "torch") == "ok       torch        9.9, 2 threads"
    assert "GiB free" in lines_of(shown, "memory")
    assert "MB/s" in lines_of(shown, "outputs/")
    assert "mend:  wandb login" in lines_of(shown, "W&B")
    assert shown.endswith("all that is needed works\n")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", ["torch", "mujoco"])
def test_broken_library_is_reported_with_what_mends_it(
    name: str, machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    machine.setitem(probes.TRIALS, name, BROKEN)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "libcudart.so is missing" in lines_of(shown, name)
    assert f"mend:  pip install --force-reinstall {name}" in lines_of(shown, name)
    assert shown.endswith(f"broken: {name}\n")


def test_graphics_that_do_not_work_are_no_failure(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for backend in ("egl", "osmesa", "glfw"):
        machine.setitem(probes.TRIALS, backend, BROKEN)
    assert main(["doctor"]) == 0
    assert "costs: robots are drawn plainly" in lines_of(capsys.readouterr().out, "OpenGL")


def test_folder_that_cannot_be_written_is_broken(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(folder: Path) -> tuple[float, float]:
        raise OSError(28, "No space left on device")

    machine.setattr(probes, "disk", full)
    assert main(["doctor"]) == 1
    assert "No space left on device" in lines_of(capsys.readouterr().out, "outputs/")


def test_libraries_are_tried_side_by_side_and_late_ones_given_up() -> None:
    start_s = time.monotonic()
    trials = Trials({"slow": SLOW, "slower": SLOW, "broken": BROKEN}, patience_s=3.0)
    assert trials.outcome("slow") == (None, "")
    assert trials.outcome("slower") == (None, "")
    assert time.monotonic() - start_s < 20.0


def test_trial_tells_what_a_library_said_or_why_it_did_not() -> None:
    trials = Trials({"good": GOOD, "broken": BROKEN, "dead": "import os; os.abort()"}, 60.0)
    assert trials.outcome("good") == (json.loads('{"version":"9.9","threads":2,"gpu":null}'), "")
    assert trials.outcome("broken") == (None, "ImportError: libcudart.so is missing")
    assert trials.outcome("dead")[0] is None


def test_key_for_wandb_is_found_without_the_network(
    machine: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert probes.wandb_login() == ""
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert probes.wandb_login() == f"an API key for api.wandb.ai in {tmp_path}/.netrc"
    machine.setenv("WANDB_API_KEY", "secret")
    assert probes.wandb_login() == "an API key in WANDB_API_KEY"


def test_disk_is_measured_where_outputs_would_be(tmp_path: Path) -> None:
    free, speed = probes.disk(tmp_path / "not" / "yet")
    assert free > 0 and speed > 0
    assert os.listdir(tmp_path) == []


def test_nothing_heavy_is_imported(machine: pytest.MonkeyPatch) -> None:
    program = "import sys, metarl_cli.commands.doctor; print(*sys.modules)"
    done = doctor.probes.subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert not {"torch", "mujoco", "numpy", "hydra", "rich", "wandb"} & set(done.stdout.split())
