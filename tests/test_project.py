"""What stands in several files of the project agrees, and its tools are those that CI runs."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from metarl_cli.cli import main
from metarl_cli.core.version import VERSION

ROOT = Path(__file__).resolve().parents[1]


def test_version_is_told_and_the_same_everywhere(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"metarl {VERSION}\n"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION


def test_distribution_and_command_have_their_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "metarl-cli"
    assert project["scripts"] == {"metarl": "metarl_cli.cli:run"}


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_check_and_ci_run_the_same_script() -> None:
    planned = subprocess.run(
        ["make", "--dry-run", "check"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert planned.stdout.split() == [".ci/check"]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == ".ci/check"
    assert (ROOT / ".ci" / "check").read_text().splitlines()[-1] == "pytest -n auto"


def test_hooks_before_a_commit_are_tools_of_the_environment() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    scripts = [hook["entry"].split()[1] for hook in repository["hooks"] if "docs/" in hook["entry"]]
    assert scripts and all((ROOT / script).is_file() for script in scripts)
