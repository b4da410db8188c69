"""Comments of a YAML find the keys that they are about."""

from __future__ import annotations

from pathlib import Path

from metarl_cli.commands.words.comments import comments_of, header_of, keys_of

YAML = """\
# @package _global_
# What it is: a header
# of two lines
size: 3        # of it
name: a#b      # no comment inside a word
quoted: "# 1"  # nor in quotes
plain: 1

# above the key,
# in two lines
deep:
  inner: 1     # beside,
               # and further
  # for the next
  last: 2
one: {only: 1}            # of the only key
two: {a: 1, b: {c: 2}}    # of the outermost
items:         # each
  - 1          # first
  - 2          # second
# after the end
"""


def written(tmp_path: Path, text: str = YAML) -> Path:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    return file


def test_comment_belongs_to_the_key_beside_it_above_it_or_below_it(tmp_path: Path) -> None:
    assert comments_of(written(tmp_path)) == {
        "size": "of it",
        "name": "no comment inside a word",
        "quoted": "nor in quotes",
        "deep": "above the key, in two lines",
        "deep.inner": "beside, and further",
        "deep.last": "for the next",
        "one.only": "of the only key",
        "two": "of the outermost",
        "items": "each first second",
    }


def test_header_is_told_without_words_for_hydra(tmp_path: Path) -> None:
    assert header_of(written(tmp_path)) == "What it is: a header\nof two lines"


def test_keys_are_listed_with_their_groups(tmp_path: Path) -> None:
    assert keys_of(written(tmp_path, "a: 1\nb: {c: 2, d: {e: 3}}\n")) == [
        "a",
        "b",
        "b.c",
        "b.d",
        "b.d.e",
    ]


def test_empty_file_says_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, "# only a header\n")
    assert comments_of(file) == {}
    assert keys_of(file) == []
    assert header_of(file) == "only a header"
