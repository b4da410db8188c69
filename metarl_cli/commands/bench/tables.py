"""Measurements of speed as tables: medians, and the ratios that count."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from metarl_cli.commands.bench.contestants import BATCH

Measures = dict[tuple[str, str], list[float]]  # turns, by row and what was measured


def median(values: Sequence[float]) -> float:
    """Return the median of the turns."""
    return statistics.median(values)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of two contestants in each turn."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def share_of_peak(iteration: dict[str, Any]) -> list[float]:
    """Return the time in which the matrix products of learning could be done, per second of it."""
    return [
        sum(
            flops / iteration["peak"][numbers][turn]
            for numbers, flops in iteration["flops"].items()
        )
        / learn
        for turn, learn in enumerate(iteration["seconds"]["learn"])
    ]


def against_environment(iteration: dict[str, Any]) -> list[float]:
    """Return the rate of the whole iteration by that of its environment alone."""
    rates = ratios(iteration["env_steps"], iteration["seconds"]["total"])
    return ratios(rates, iteration["env_rates"])


def environment_table(found: dict[str, Any]) -> Table:
    """Show the contestants that step an environment."""
    rates = {name: median(turns) for name, turns in found["environment"].items()}
    table = Table(title=f"environment alone: {found['num_envs']} envs, {found['threads']} threads")
    for heading in ("contestant", "env-steps/s", f"{BATCH} / this"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rates[BATCH] / rate:.2f}")
    return table


def iteration_table(iteration: dict[str, Any]) -> Table:
    """Show where the time of a training iteration goes."""
    seconds = {part: median(turns) for part, turns in iteration["seconds"].items()}
    table = Table(title=f"one training iteration: {median(iteration['env_steps']):,.0f} env steps")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for part, value in seconds.items():
        table.add_row(part, f"{value:.3f}", f"{value / seconds['total']:.1%}")
    return table


def limits(iteration: dict[str, Any]) -> str:
    """Say in two lines how near a training iteration comes to what limits it."""
    rate = median(ratios(iteration["env_steps"], iteration["seconds"]["total"]))
    alone = median(iteration["env_rates"])
    return (
        f"{rate:,.0f} env-steps/s against {alone:,.0f} of the environment alone: "
        f"ratio {median(against_environment(iteration)):.2f}\n"
        f"matrix products of learning at {median(share_of_peak(iteration)):.0%} of their peak"
    )


def measures(found: dict[str, Any]) -> Measures:
    """Return what a suite has found as turns of a few numbers, by row and what they are."""
    flat: Measures = {}
    for name, row in found["rows"].items():
        for what, turns in _of_row(row).items():
            flat[name, what] = turns
    return flat


def _of_row(row: dict[str, Any]) -> dict[str, list[float]]:
    numbers: dict[str, list[float]] = {}
    if rates := row.get("environment"):
        numbers["env-steps/s"] = rates[BATCH]
        limits = {name: turns for name, turns in rates.items() if name != BATCH}
        numbers |= {f"/ {name}": ratios(rates[BATCH], turns) for name, turns in limits.items()}
    if iteration := row.get("iteration"):
        numbers["s per iteration"] = iteration["seconds"]["total"]
        numbers["of it learning"] = ratios(
            iteration["seconds"]["learn"], iteration["seconds"]["total"]
        )
        numbers["/ environment alone"] = against_environment(iteration)
        numbers["learning / matrix peak"] = share_of_peak(iteration)
        if any(iteration["gradient_steps"]):
            numbers["gradient steps/s of learning"] = ratios(
                iteration["gradient_steps"], iteration["seconds"]["learn"]
            )
        numbers["peak memory, MB"] = [row["peak_memory_mb"]]
    if rates := row.get("gru"):
        numbers["steps/s forwards and backwards"] = rates["metarl"]
        numbers["/ nn.GRU"] = ratios(rates["metarl"], rates["nn.GRU"])
    if gains := row.get("side_by_side"):
        numbers["one after the other / side by side"] = gains
    return numbers


def suite_table(now: Measures, earlier: Measures) -> Table:
    """Show medians and ranges of what was found, and their ratio to what was found earlier."""
    table = Table("row", "what", title="median [range of the turns]")
    table.add_column("now", justify="right")
    if earlier:
        table.add_column("now / earlier", justify="right")
    last = ""
    for (row, what), turns in now.items():
        cells = [row if row != last else "", what, _median_and_range(turns)]
        if before := earlier.get((row, what)):
            cells.append(f"{median(turns) / median(before):.2f}")
        table.add_row(*cells)
        last = row
    return table


def _median_and_range(turns: Sequence[float]) -> str:
    middle = _number(median(turns))
    if len(turns) == 1:
        return middle
    return f"{middle} [{_number(min(turns))}-{_number(max(turns))}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
