"""Docstrings are read from the source, those of parents, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl_cli.commands.words.docstrings import documented

BASE = '''
class Base:
    """What it is. More of it.

    Args:
        size: of the base.
        shared: said
            in two lines.
    """
'''
CHILD = '''
from parents_of_words import Base as Parent
raise RuntimeError("nothing may be imported")

class Child(Parent):
    """A child
    of two lines."""

    def __init__(self):
        """Make it.

        Args:
            size: of the child.
        """

def build():
    """Builds one."""
'''


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parents_of_words.py").write_text(BASE)
    (tmp_path / "children_of_words.py").write_text(CHILD)
    monkeypatch.syspath_prepend(tmp_path)


def test_own_words_come_before_those_of_parents() -> None:
    child = documented("children_of_words.Child")
    assert child.summary == "A child of two lines."
    assert child.arguments == {"size": "of the child.", "shared": "said in two lines."}
    assert documented("parents_of_words.Base").summary == "What it is."


def test_functions_are_documented_as_well() -> None:
    assert documented("children_of_words.build").summary == "Builds one."


@pytest.mark.parametrize("target", ["children_of_words.Nobody", "no_such.Class", "bare", ""])
def test_what_cannot_be_found_says_nothing(target: str) -> None:
    assert documented(target).summary == ""
    assert documented(target).arguments == {}
