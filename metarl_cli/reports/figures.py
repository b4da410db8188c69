"""Pictures of a run: learning curve and adaptation curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metarl_cli.loggers.jsonl import Row
from metarl_cli.reports.pictures import save_picture
from metarl_cli.runtime.evaluation import Evaluation

COLORS = ("#7a7a7a", "#1f77b4", "#d62728", "#2ca02c", "#9467bd")
MAX_CURVES = 5


def run_figure(rows: Sequence[Row], evaluation: Evaluation, path: Path) -> None:
    """Draw the learning curve of a record beside the adaptation curve of its meta-test."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    learning, adaptation = figure.subplots(1, 2, width_ratios=(3, 2))
    figure.suptitle(f"{evaluation.algo} on {evaluation.env}")
    _learning_curve(learning, rows)
    _adaptation_curve(adaptation, evaluation)
    save_picture(figure, path, dpi=110)


def _learning_curve(axes: Axes, rows: Sequence[Row]) -> None:
    """Returns by number of adaptations: in training batches (faint) and on validation tasks."""
    for k, color in zip(range(MAX_CURVES), COLORS, strict=True):
        label = "before adaptation" if k == 0 else f"after {k} adaptation{'s' * (k > 1)}"
        axes.plot(*_series(rows, f"train/return_{k}"), color=color, alpha=0.3, linewidth=1)
        online = f"eval/online_{k}"
        x, y = _series(rows, online)
        if x:
            axes.plot(x, y, color=color, linewidth=1.8, label=f"{label} (validation tasks)")
            x, low, high = _series(rows, f"{online}_low", f"{online}_high")
            axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_xlabel("environment steps (all counted)")
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    axes.set_ylabel("return per episode")
    axes.set_title("meta-training")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _adaptation_curve(axes: Axes, evaluation: Evaluation) -> None:
    """Return on test tasks by number of adaptations, with 95 % intervals over tasks."""
    episodes = evaluation.episodes
    kinds = {
        "online (sampled actions)": ([row.online for row in episodes], COLORS[1], "o"),
        "probe (greedy actions)": ([row.probe for row in episodes if row.probe], COLORS[2], "s"),
    }
    index = [row.index for row in episodes]
    for label, (cells, color, marker) in kinds.items():
        if not cells:
            continue
        below = [cell.mean - cell.low for cell in cells]
        above = [cell.high - cell.mean for cell in cells]
        axes.errorbar(
            index,
            [cell.mean for cell in cells],
            (below, above),
            color=color,
            marker=marker,
            capsize=3,
            label=label,
        )
    axes.set_xlabel("adaptations")
    axes.set_ylabel("return per episode")
    axes.set_title(f"meta-test on {evaluation.in_words()}")
    if len(index) <= 12:
        axes.set_xticks(index)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _series(rows: Sequence[Row], *keys: str) -> list[list[float]]:
    """Return the environment steps of the rows that have numbers under all keys, and these."""
    whole = [row for row in rows if all(type(row.get(key)) in (int, float) for key in keys)]
    return [[float(row[name]) for row in whole] for name in ("env_steps", *keys)]
