"""The result of a meta-test as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.tables import digits_of
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval

NOT_SHOWN = ("success", "reward_")  # has a column of its own, or is for eval.json only


def print_results(evaluation: Evaluation, path: Path | None = None) -> None:
    """Print the adaptation curve, what adaptation brought, and where it was written."""
    console = LastingConsole()
    console.print(results_table(evaluation))
    console.print(verdict(evaluation.episodes))
    if evaluation.diverging:
        console.print(diverging_in_words(evaluation))
    if evaluation.unstable:
        console.print(f"{evaluation.unstable} simulations blew up: the numbers flatter the agent")
    if path is not None:
        console.print(f"written to {path}", style="dim", soft_wrap=True)


def results_table(evaluation: Evaluation) -> Table:
    """Return per episode index: online and probe with 95 % intervals, success and info means."""
    episodes, per_index = evaluation.episodes, evaluation.envs_per_task
    table = Table(
        title=f"{evaluation.algo} on {evaluation.env}: {evaluation.in_words()}, "
        f"{per_index} episode{'s' * (per_index > 1)} each per index",
        caption="mean return over tasks [95 % interval]; online = while exploring, probe = greedy",
    )
    digits = digits_of(episodes)
    info = [key for key in episodes[0].info if not key.startswith(NOT_SHOWN)]
    has_success = episodes[0].success is not None
    for heading in ("adapted to", "online", "probe", *(["success"] * has_success), *info):
        table.add_column(heading, justify="right")
    for row in _shown(episodes):
        cells = [f"{row.index}", *(_interval(x, digits) for x in (row.online, row.probe))]
        if has_success:
            cells.append(f"{row.success:.0%}")
        table.add_row(*cells, *(f"{row.info[key]:.3f}" for key in info))
    return table


def verdict(episodes: Sequence[EpisodeRow]) -> str:
    """One sentence: what the first and the last adaptation changed in the online return."""
    means, digits = [row.online.mean for row in episodes], digits_of(episodes)
    first = means[0]
    if len(means) < 2:
        return f"Return without adaptation: {first:.{digits}f}."

    def after(steps: int) -> str:
        return f"{means[steps]:.{digits}f} after {steps}"

    def gain(steps: int) -> str:
        return f"({means[steps] - first:+.{digits}f})"

    text = f"Adaptation: return {first:.{digits}f} before, {after(1)} step {gain(1)}"
    if (last := len(means) - 1) > 1:
        text += f", {after(last)} {gain(last)}"
    return text + "."


def diverging_in_words(evaluation: Evaluation) -> str:
    """One sentence: in how many tasks adaptation ended below where it began or first led."""
    num, per_index = evaluation.num_tasks, evaluation.envs_per_task
    ended = round((evaluation.diverging or 0.0) * num)
    text = f"{ended} of {num} task{'s' * (num > 1)} ended worse than before or after the first step"
    return text + (" (by one episode each)." if per_index == 1 else ".")


def _shown(episodes: Sequence[EpisodeRow], most: int = 12) -> Sequence[EpisodeRow]:
    """All rows, or about `most` of them evenly spread over a long adaptation."""
    if len(episodes) <= most:
        return episodes
    step = (len(episodes) - 1) / (most - 1)
    return [episodes[round(i * step)] for i in range(most)]


def _interval(cell: Interval | None, digits: int) -> str:
    if cell is None:
        return "-"
    bounds = 0 if abs(cell.mean) >= 100 else digits
    return f"{cell.mean:.{digits}f} [{cell.low:.{bounds}f}, {cell.high:.{bounds}f}]"
