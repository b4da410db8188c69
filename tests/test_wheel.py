"""The built wheel works outside the checkout: conf/ travels with it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def call(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheel_lists_and_composes_outside_the_checkout(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # The dependencies come from the environment of the tests; the package must not.
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    code = "import site; print(site.getsitepackages()[0])"
    own = Path(call(python, "-c", code, cwd=tmp_path).strip())
    (own / "dependencies.pth").write_text("\n".join(packages), encoding="utf-8")
    metarl = tmp_path / "venv" / "bin" / "metarl"
    assert "cheetah_vel" in call(metarl, "list", cwd=tmp_path)
    shown = call(metarl, "train", "env=point_nav", "--cfg", "job", cwd=tmp_path)
    assert "metarl_cli.envs.points.point.PointNav" in shown
    assert call(metarl, "--version", cwd=tmp_path).startswith("metarl ")
    plugins = call(metarl, "train", "--info", "plugins", cwd=tmp_path)
    assert "LocalPool" in plugins
    where = call(python, "-c", "import metarl_cli; print(metarl_cli.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert Path(where.strip()).with_name("py.typed").is_file()
    assert wheel.name.startswith("metarl_cli-")
