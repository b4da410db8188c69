"""TAB in a real bash, installed by one command into a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metarl_cli.cli import main
from metarl_cli.commands.completion import MARK, SHELLS

ROOT = Path(__file__).resolve().parents[2]
ASK = """
. ~/.bashrc
for line in "$@"; do
    COMP_LINE="$line" COMP_POINT=${#line} COMP_WORDS=($line) COMPREPLY=()
    _metarl_completion
    printf '[%s]' "${COMPREPLY[@]}"; echo
done
complete -p metarl
echo "breaks:${COMP_WORDBREAKS//[[:space:]]}"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "a home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_options_and_keys(home: Path, tmp_path: Path) -> None:
    assert main(["completion", "install", "bash"]) == 0
    program = tmp_path / "bin" / "metarl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m metarl_cli.cli "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    lines = ["metarl tr", "metarl train env=point_n", "metarl list al", "metarl train budget.ev"]
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", *lines],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    shown = done.stdout.splitlines()
    assert shown[:4] == ["[train ]", "[point_nav ]", "[algos][algo=]", "[budget.eval_every=]"]
    assert "-F _metarl_completion metarl" in shown[4]
    assert "=" in shown[5]  # other programs' completion is left as it was


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_installing_twice_changes_nothing_and_uninstalling_leaves_what_was_there(
    name: str, home: Path
) -> None:
    real = home / "dotfiles"
    real.write_bytes(b"alias x='\xff'\nlast line without an end")
    real.chmod(0o600)
    start = home / f".{name}rc"
    start.symlink_to(real)
    assert main(["completion", "install", name]) == 0
    once = start.read_bytes()
    assert once.count(MARK.encode()) == 1
    assert main(["completion", "install", name]) == 0
    assert start.read_bytes() == once
    assert start.is_symlink() and real.stat().st_mode & 0o777 == 0o600
    assert main(["completion", "uninstall", name]) == 0
    assert start.read_bytes() == b"alias x='\xff'\nlast line without an end\n"
    assert not list((home / ".local/share/metarl").iterdir())


def test_fish_reads_its_own_folder(home: Path) -> None:
    assert main(["completion", "install", "fish"]) == 0
    script = home / ".config/fish/completions/metarl.fish"
    assert script.read_text() == SHELLS["fish"].script
    assert main(["completion", "uninstall", "fish"]) == 0
    assert not script.exists()


def test_shell_is_the_users_own_unless_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert main(["completion", "show"]) == 0
    assert capsys.readouterr().out == SHELLS["zsh"].script
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["completion", "install"]) == 2
    assert "your shell is tcsh" in capsys.readouterr().err
