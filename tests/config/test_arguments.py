"""Flags, settings and other words are told apart; settings are typed as Hydra reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from metarl_cli.config.arguments import line, placed, split, typed
from metarl_cli.core.errors import UserError


def test_flags_keep_their_values_and_nothing_else() -> None:
    words = ["-m", "seed=1", "--cfg", "job", "--package", "env", "+a.b=1", "~c", "--info", "x=1"]
    flags = ["-m", "--cfg", "job", "--package", "env", "--info"]
    assert split(words) == (flags, ["seed=1", "+a.b=1", "~c", "x=1"], [])


def test_words_that_are_neither_are_told_apart() -> None:
    assert split(["latest", "--seed", "3", "--lr=1", "a=b"])[2] == [
        "latest",
        "--seed",
        "3",
        "--lr=1",
    ]
    assert split(["--info", "defaults", "--cfg=job"])[0] == ["--info", "defaults", "--cfg=job"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--package", "seed=1", "--cfg", "job"], "not seed=1"),
        (["--cfg"], "--cfg takes a value"),
        (["--config-dir", "-m"], "not -m"),
        (["--package", "env"], "add --cfg job"),
    ],
)
def test_flag_never_swallows_a_setting(words: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        split(words)


@pytest.mark.parametrize(
    "value",
    [
        *(1, -2.5, 1e-7, True, None, [], [1, [2.5]], {"a": 1, "b": [False]}),
        *("plain", "a/b_c.pt", "it's", 'say "so"', "a b", "null", "1", "", "x=[1,2]", "a,b"),
        *("back\\slash", "end\\", "dollar$", "(1)", "~x", "#", "{", "\\'"),
    ],
)
def test_value_comes_back_from_what_is_typed(value: object) -> None:
    override = OverridesParser.create().parse_override(typed("key", value))
    read = override.value()
    assert read == value or (read.text == value if hasattr(read, "text") else False)


def test_line_is_quoted_for_the_shell() -> None:
    assert line(["metarl", "a=[1,2]", "b=c"]) == "metarl 'a=[1,2]' b=c"


def test_words_without_a_key_are_values_in_their_order() -> None:
    assert placed(["a b", "to=x", "c"], ("runs",)) == ["to=x", typed("runs", ["a b", "c"])]
    two = placed(["-m", "a", "b"], ("first", "second"))
    assert two == ["-m", typed("first", ["a"]), typed("second", ["b"])]
    assert placed(["--config-dir", "conf", "to=x"], ("runs",)) == ["--config-dir", "conf", "to=x"]


def test_folder_that_looks_like_a_setting_is_a_word_if_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert placed(["seed=1"], ("runs",)) == ["seed=1"]
    (tmp_path / "seed=1").mkdir()
    assert placed(["seed=1"], ("runs",)) == [typed("runs", ["seed=1"])]
    assert placed(["seed=*", "a=*"], ("runs",)) == ["a=*", typed("runs", ["seed=*"])]


def test_more_words_than_keys_are_refused() -> None:
    with pytest.raises(UserError, match="3 words for first and second"):
        placed(["a", "b", "c"], ("first", "second"))
