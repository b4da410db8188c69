"""What is searched: settings of `metarl train`, some of them with a sweep in place of a value.

The sweeps are Hydra's own: `interval(a,b)`, `range(a,b)`, `choice(x,y)` and `x,y`; they may be
wrapped in `int(...)` or, for a logarithmic scale, in `tag(log,...)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
    Sweep,
)
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from metarl_cli.core.errors import UserError

LOG = "log"
OURS = {  # settings of a run that the search itself decides on
    "seed": "seeds=[0,1,2] trains every trial with each of these",
    "resume": "a search trains new runs",
}


@dataclass(frozen=True)
class Space:
    """The settings that all trials share, and the ranges of those that are searched."""

    fixed: tuple[str, ...]  # as typed, `experiment=maml/point_nav`
    searched: dict[str, BaseDistribution]  # by key, as Hydra writes it: `algo.inner.step_size`

    def words(self, params: Mapping[str, Any]) -> list[str]:
        """Return the settings of a trial as they would be typed.

        Args:
            params: a value for each searched key; of a choice, the text of an option.
        """
        return [*self.fixed, *(f"{key}={text_of(params[key])}" for key in self.searched)]


def parse_space(words: Sequence[str]) -> Space:
    """Tell the fixed settings of a search from the searched ones.

    Raises:
        UserError: a word is no setting, a sweep is none that can be searched, or there is none.
    """
    parser, fixed = OverridesParser.create(), []
    searched: dict[str, BaseDistribution] = {}
    for word in words:
        override = _parse(parser, word)
        key = override.get_key_element()
        if (reason := OURS.get(override.key_or_group)) is not None:
            raise UserError(f"{word}: {reason}")
        if key in searched:
            raise UserError(f"{key} is given twice")
        if override.is_sweep_override():
            searched[key] = _distribution(override, word)
        else:
            fixed.append(word)
    if not searched:
        raise UserError(
            "nothing to search: give a setting a range, "
            "e.g. algo.inner.step_size='tag(log,interval(0.001,1))'"
        )
    return Space(tuple(fixed), searched)


def text_of(value: Any) -> str:
    """Write a sampled value so that Hydra reads exactly this value."""
    return value if isinstance(value, str) else repr(value)


def _parse(parser: OverridesParser, word: str) -> Override:
    try:
        return parser.parse_override(word)
    except HydraException as error:
        reason = "settings are written key=value"
        if "(" in word:
            reason = "a range is interval(a,b), range(a,b), choice(a,b) or one in tag(log,...)"
        raise UserError(f"cannot read {word!r}: {reason}") from error


def _distribution(override: Override, word: str) -> BaseDistribution:
    sweep = override.value()
    if not isinstance(sweep, Sweep):
        raise UserError(f"{word}: name the options, glob(...) cannot be searched")
    if unknown := sorted(sweep.tags - {LOG}):
        raise UserError(f"{word}: there is no tag {unknown[0]}, only {LOG}")
    log = LOG in sweep.tags
    try:
        if isinstance(sweep, IntervalSweep):
            return _interval(sweep, log=log)
        if isinstance(sweep, RangeSweep):
            return _range(sweep, log=log)
        if isinstance(sweep, ChoiceSweep) and not log:
            return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except ValueError as error:
        raise UserError(f"{word}: {' '.join(str(error).split())}") from error
    raise UserError(f"{word}: a logarithmic scale needs interval(a,b) or range(a,b)")


def _interval(sweep: IntervalSweep, *, log: bool) -> BaseDistribution:
    low, high = sweep.start, sweep.end
    assert low is not None and high is not None
    if not low < high:
        raise ValueError(f"{low} is not below {high}")
    if isinstance(low, int) and isinstance(high, int):  # int(interval(1,8)), both ends included
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _range(sweep: RangeSweep, *, log: bool) -> BaseDistribution:
    """The values that Hydra would sweep over: the end is not one of them."""
    values = sorted(sweep.range())
    if not values:
        raise ValueError("the range is empty")
    low, high = values[0], values[-1]
    step = abs(sweep.step)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(low, high, log=log, step=int(step))
    if log:
        raise ValueError("a logarithmic scale has no steps: use interval(a,b)")
    return FloatDistribution(low, high, step=step)
