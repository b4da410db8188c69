"""README and docs/ are short, current, and hold commands that run and links that lead somewhere."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from metarl_cli.cli import main, rewrite_run_settings, split_off_run_settings
from metarl_cli.command_list import COMMANDS, RESUME, Command
from metarl_cli.commands.parts.frozen import settings_of
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.runtime.runs import RunFolder
from metarl_cli.sweeps.tuning.space import parse_space

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
REFERENCE = ROOT / "outputs" / "reference"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_LINES = 150
OTHERS = ("pip", "pytest", "make", "pre-commit", "ruff", "mypy", "python")


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def started_by_torchrun(words: list[str]) -> list[str]:
    """`torchrun ... -m metarl_cli train` as the command that its processes carry out."""
    return ["metarl", *words[words.index("metarl_cli") + 1 :]] if words[0] == "torchrun" else words


def commands(page: Path) -> list[list[str]]:
    """The words of each command in the shell blocks of a page; `&&` joins two."""
    text = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.split("#")[0].strip()]
    return [
        started_by_torchrun(shlex.split(part, comments=True))
        for line in lines
        for part in line.split(" #")[0].split("&&")
    ]


METARL = sorted({shlex.join(c[1:]) for page in PAGES for c in commands(page) if c[0] == "metarl"})
SHOWING = {"--cfg", "--help"}


@pytest.mark.parametrize("typed", METARL)
def test_command_of_the_documentation_is_understood(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """What would train or measure is only composed and checked; what shows something, shows it."""
    name, *words = shlex.split(typed)
    command = COMMANDS[name]
    if any(word.startswith("resume=") for word in words):
        command = RESUME
    if command.schema is None or SHOWING & set(words):
        monkeypatch.setattr("sys.argv", ["metarl"])
        with contextlib.suppress(SystemExit):  # how Hydra's help ends
            assert main([name, *words]) == 0
        assert capsys.readouterr().out
    elif command.starts_runs:
        words, settings = split_off_run_settings(words, [x.name for x in fields(command.schema)])
        check(compose(command.config, words), command.schema)
        first = {key: x.low for key, x in parse_space(settings).searched.items()}
        check(compose("train", parse_space(settings).words(first)))
    elif command.changes_run:
        own, settings = split(words, command)
        check(compose(command.config, own), command.schema)
        settings_of(RunFolder(REFERENCE / "point_nav-maml"), OmegaConf.from_dotlist(settings))
    else:
        if "-m" in words:
            words = [word.partition(",")[0] for word in words if word != "-m"]
        check(compose(command.config, words), command.schema)


def split(words: list[str], command: Command) -> tuple[list[str], list[str]]:
    """A command's own settings, and those of the earlier run that it works on."""
    prefix = "++overrides."
    words = rewrite_run_settings(words, [field.name for field in fields(command.schema)])
    settings = [word.removeprefix(prefix) for word in words if word.startswith(prefix)]
    return [word for word in words if not word.startswith(prefix)], settings


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_other_commands_are_those_of_the_tools_in_use(page: Path) -> None:
    for words in commands(page):
        assert words[0] == "metarl" or words[0] in OTHERS, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_lists_are_those_of_the_configuration_and_the_reference_runs() -> None:
    script = ROOT / "docs" / "lists.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_readme_can_be_read_at_one_sitting() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MOST_LINES
