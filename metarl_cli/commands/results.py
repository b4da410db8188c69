"""The result of a meta-test as a document and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from metarl_cli.reports.tables import digits_of
from metarl_cli.runtime.evaluator import MetaTest

NOT_SHOWN = ("success", "reward_")  # has a column of its own, or is for eval.json only


def eval_document(
    env: str, algo: str, checkpoint: str, env_steps: int, cfg: DictConfig, result: MetaTest
) -> dict[str, Any]:
    """Everything a meta-test measured, ready for eval.json."""
    return {
        "env": env,
        "algo": algo,
        "checkpoint": checkpoint,
        "env_steps": env_steps,
        "test_seed": cfg.env.tasks.test_seed,
        "num_tasks": result.tasks.num,
        "envs_per_task": result.online.shape[-1],
        "test_env_steps": result.env_steps,
        "unstable": result.unstable,
        "episodes": result.episodes(),
        "tasks": result.per_task(),
    }


def print_results(document: dict[str, Any], path: Path | None = None) -> None:
    """Print the adaptation curve, what adaptation brought, and where it was written."""
    console = Console()
    console.print(results_table(document))
    console.print(verdict(document["episodes"]))
    if document["unstable"]:
        console.print(f"{document['unstable']} simulations blew up: the numbers flatter the agent")
    if path is not None:
        console.print(f"written to {path}", style="dim", soft_wrap=True)


def results_table(document: dict[str, Any]) -> Table:
    """Return per episode index: online and probe with 95 % intervals, success and info means."""
    episodes, per_index = document["episodes"], document["envs_per_task"]
    table = Table(
        title=f"{document['algo']} on {document['env']}: {document['num_tasks']} held-out tasks, "
        f"{per_index} episode{'s' * (per_index > 1)} each per index",
        caption="mean return over tasks [95 % interval]; online = while exploring, probe = greedy",
    )
    digits = digits_of(episodes)
    info = [key for key in episodes[0]["info"] if not key.startswith(NOT_SHOWN)]
    has_success = episodes[0]["success"] is not None
    for heading in ("adapted to", "online", "probe", *(["success"] * has_success), *info):
        table.add_column(heading, justify="right")
    for row in _shown(episodes):
        returns = (_interval(row[kind], digits) for kind in ("online", "probe"))
        cells = [f"{row['index']}", *returns]
        if has_success:
            cells.append(f"{row['success']:.0%}")
        table.add_row(*cells, *(f"{row['info'][key]:.3f}" for key in info))
    return table


def verdict(episodes: list[dict[str, Any]]) -> str:
    """One sentence: what the first and the last adaptation changed in the online return."""
    means, digits = [row["online"]["mean"] for row in episodes], digits_of(episodes)
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


def _shown(episodes: list[dict[str, Any]], most: int = 12) -> list[dict[str, Any]]:
    """All rows, or about `most` of them evenly spread over a long adaptation."""
    if len(episodes) <= most:
        return episodes
    step = (len(episodes) - 1) / (most - 1)
    return [episodes[round(i * step)] for i in range(most)]


def _interval(cell: dict[str, float], digits: int) -> str:
    bounds = 0 if abs(cell["mean"]) >= 100 else digits
    return f"{cell['mean']:.{digits}f} [{cell['low']:.{bounds}f}, {cell['high']:.{bounds}f}]"
