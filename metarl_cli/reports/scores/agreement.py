"""Whether two meta-tests of what should be the same agent agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metarl_cli.core.errors import UserError
from metarl_cli.runtime.evaluation import Evaluation, Interval


@dataclass(frozen=True)
class Change:
    """The online return after `index` adaptations, then and now, with 95 % intervals over tasks."""

    index: int
    then: Interval
    now: Interval

    @property
    def is_inside(self) -> bool:
        """Whether the two differ by no more than 95 % of such differences would by chance.

        The tasks are taken as drawn anew, so for the same tasks this is generous.
        """
        return abs(self.now.mean - self.then.mean) <= math.hypot(_half(self.then), _half(self.now))

    @property
    def word(self) -> str:
        """`inside`, `above` or `below`."""
        if self.is_inside:
            return "inside"
        return "above" if self.now.mean > self.then.mean else "below"


def changes(then: Evaluation, now: Evaluation) -> list[Change]:
    """Compare two meta-tests before adaptation, after one and after all of them.

    Raises:
        UserError: they are not of the same number of adaptations.
    """
    if len(then.episodes) != len(now.episodes):
        raise UserError(
            f"{len(then.episodes) - 1} adaptations then, {len(now.episodes) - 1} now: no comparison"
        )
    chosen = sorted({0, min(1, len(then.episodes) - 1), len(then.episodes) - 1})
    return [Change(k, then.episodes[k].online, now.episodes[k].online) for k in chosen]


def verdict(found: Sequence[Change]) -> str:
    """Return `inside`, or on which side what is outside lies."""
    return "/".join(sorted({change.word for change in found} - {"inside"})) or "inside"


def _half(interval: Interval) -> float:
    return (interval.high - interval.low) / 2
