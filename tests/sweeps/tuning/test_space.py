"""Hydra's sweeps, read as ranges to search in."""

from __future__ import annotations

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from metarl_cli.core.errors import UserError
from metarl_cli.sweeps.tuning.space import parse_space

KEY = "algo.inner.step_size"


@pytest.mark.parametrize(
    ("sweep", "distribution"),
    [
        ("interval(1,8)", FloatDistribution(1.0, 8.0)),
        ("tag(log,interval(0.001,1))", FloatDistribution(0.001, 1.0, log=True)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("int(tag(log,interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("range(1,5)", IntDistribution(1, 4)),
        ("range(5,1,-2)", IntDistribution(3, 5, step=2)),
        ("range(0,1,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("choice(1,2.5,x)", CategoricalDistribution(["1", "2.5", "x"])),
        ("1,null", CategoricalDistribution(["1", "null"])),
        ("[64,64],[128]", CategoricalDistribution(["[64,64]", "[128]"])),
        ("'a b',c", CategoricalDistribution(["'a b'", "c"])),
    ],
)
def test_sweep_is_a_range_to_search(sweep: str, distribution: object) -> None:
    assert parse_space([f"{KEY}={sweep}"]).searched == {KEY: distribution}


def test_settings_without_a_sweep_are_those_of_all_trials() -> None:
    space = parse_space(["env=point_nav", f"{KEY}=interval(0,1)", "+x=[1,2]", "network=gru,lstm"])
    assert space.fixed == ("env=point_nav", "+x=[1,2]")
    assert list(space.searched) == [KEY, "network"]
    words = space.words({KEY: 0.1 + 0.2, "network": "gru"})
    assert words == ["env=point_nav", "+x=[1,2]", f"{KEY}=0.30000000000000004", "network=gru"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["env=point_nav"], "nothing to search"),
        (["a"], "cannot read 'a': settings are written key=value"),
        (["a=intervall(1,2)"], "a range is interval"),
        (["a=interval(2,1)"], "2.0 is not below 1.0"),
        (["a=tag(log,interval(0,1))"], "log"),
        (["a=range(3,3)"], "empty"),
        (["a=tag(log,range(0,1,0.5))"], "no steps"),
        (["a=tag(log,choice(1,2))"], "needs interval"),
        (["a=tag(lin,interval(1,2))"], "no tag lin"),
        (["experiment=glob(*)"], "glob"),
        (["a=1,2", "a=interval(1,2)"], "a is given twice"),
        (["a=1,2", "seed=0,1"], "seeds="),
        (["a=1,2", "resume=latest"], "new runs"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(words: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line.replace("(", "\\(")) as refused:
        parse_space(words)
    assert "\n" not in str(refused.value)
