"""Tables of published runs, for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metarl_cli.runtime.evaluation import EpisodeRow, Interval
from metarl_cli.runtime.run_record import RunRecord

MAX_INDEX = 3


def reference_table(runs: Iterable[RunRecord]) -> str:
    """Markdown table of published runs: what made them and what they measured."""
    lines = [
        "| run and command | training | online return after 0 / 1 / 2 / 3 | probe | commit |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_row, runs)]) + "\n"


def _row(run: RunRecord) -> str:
    evaluation, facts = run.evaluation(), run.identity
    command = " ".join(facts.command or [])
    training = f"{facts.env_steps or 0:.2g} steps, {(facts.wall_s or 0) / 60:.0f} min"
    training += f"; tested at {evaluation.env_steps:.2g}"
    rows = evaluation.episodes
    digits = digits_of(rows)
    online = _curve([row.online for row in rows], digits)
    probe = _curve([row.probe for row in rows if row.probe], digits)
    return (
        f"| **{run.folder.name}**<br>`{command}` | {training} | {online} | {probe} "
        f"| {facts.commit} |"
    )


def _curve(cells: Sequence[Interval], digits: int) -> str:
    means = [f"{cell.mean:.{digits}f}" for cell in cells]
    first = " / ".join(means[: MAX_INDEX + 1])
    return first + (
        f" ... {means[-1]} after {len(means) - 1}" if len(means) > MAX_INDEX + 1 else ""
    )


def digits_of(episodes: Sequence[EpisodeRow]) -> int:
    """Decimals that the returns of a meta-test are shown with: more for small ones."""
    cells = (cell for row in episodes for cell in (row.online, row.probe) if cell)
    return 1 if max(abs(cell.mean) for cell in cells) >= 10 else 2
