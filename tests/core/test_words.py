"""What is printed for the command line can be typed back."""

from __future__ import annotations

import random
import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from metarl_cli.core.words import one_line, setting

FOLDERS = [
    *("a b", "it's", 'say "hi"', "lr=1,seed=[0]", "{x}", "~/runs", "#1", "a\\", 'a\\"', "\\\\"),
    *("null", "true", "123", "1e5", ".5", "${oc.env:HOME}", "\\${x}", "a  b", "(1)", "$HOME;*?"),
]
ALPHABET = "ab1/. '\"()=[]{},~#$\\!&;*?@:-+|%<>`é"


def read_back(words: list[str]) -> object:
    """The value that Hydra and OmegaConf make of one word of the command line."""
    (word,) = words
    value = OverridesParser.create().parse_override(word).value()
    tree = OmegaConf.to_container(OmegaConf.create({"resume": value}), resolve=True)
    assert isinstance(tree, dict)
    return tree["resume"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_real_shell_and_hydra_read_back_the_folder_that_was_printed(folder: str) -> None:
    typed = f"printf '%s\\0' {setting('resume', folder)}"
    words = subprocess.run(["sh", "-c", typed], capture_output=True, text=True, check=True)
    assert read_back(words.stdout.split("\0")[:-1]) == folder


def test_any_characters_are_read_back() -> None:
    rng = random.Random(0)
    for _ in range(300):
        folder = "".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 12)))
        assert read_back(shlex.split(setting("resume", folder))) == folder


def test_ordinary_folders_stay_legible() -> None:
    folder = "outputs/train/2026-01-01/12-00-00-123-point_nav-maml-s0"
    assert setting("resume", folder) == f"resume={folder}"
    assert setting("resume", "/tmp/x") == "resume=/tmp/x"
    assert setting("resume", "my run") == "'resume=\"my run\"'"


def test_lines_of_an_error_are_joined_and_spaces_in_paths_kept() -> None:
    assert one_line(ValueError("cannot read a  b:\n   it is\n\n gone")) == (
        "cannot read a  b: it is gone"
    )
    assert one_line(ValueError("")) == "ValueError"
