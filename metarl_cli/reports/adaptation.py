"""A picture of how several agents adapt: return against the episodes spent in a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from metarl_cli.reports.pictures import (
    PANEL_DPI,
    draw_level,
    name_panel,
    panel_grid,
    plain_text,
    save_picture,
)
from metarl_cli.runtime.evaluation import Evaluation

TITLE = "Learning within a task: mean over tasks, 95 % interval; a line per run"
_MOST_MARKS = 12  # of adaptations on a line; more would hide it


@dataclass(frozen=True)
class Line:
    """One meta-test and what it is called."""

    label: str
    evaluation: Evaluation

    @property
    def episodes_spent(self) -> list[int]:
        """Episodes that each task has been given before the return of each row."""
        return [row.index * self.evaluation.envs_per_task for row in self.evaluation.episodes]


def adaptation_figure(
    panels: Mapping[str, Sequence[Line]],
    path: Path,
    *,
    title: str = TITLE,
    colors: Mapping[str, str] | None = None,
    levels: Mapping[str, Sequence[tuple[str, float]]] | None = None,
) -> None:
    """Draw a panel per environment, and in it online returns with their 95 % intervals over tasks.

    Args:
        panels: lines by name of the environment; lines of one label have one colour in all panels.
        path: of the picture.
        title: says what lines and intervals are.
        colors: by label, where other pictures have them as well.
        levels: by panel: returns of simple policies, drawn as lines with their names.
    """
    figure, places = panel_grid(len(panels), title)
    labels = dict.fromkeys(line.label for lines in panels.values() for line in lines)
    colors = colors or {label: f"C{i % 10}" for i, label in enumerate(labels)}
    for axes, (env, lines) in zip(places, panels.items(), strict=True):
        _panel(axes, lines, colors)
        for name, value in (levels or {}).get(env, ()):
            draw_level(axes, value, name)
        name_panel(axes, f"{env}, {lines[0].evaluation.in_words()}")
    save_picture(figure, path, dpi=PANEL_DPI)


def _panel(axes: Axes, lines: Sequence[Line], colors: Mapping[str, str]) -> None:
    for line in lines:
        x, color = line.episodes_spent, colors[line.label]
        cells = [row.online for row in line.evaluation.episodes]
        low, high = [cell.low for cell in cells], [cell.high for cell in cells]
        if len(x) == 1:
            axes.vlines(x, low, high, color=color, alpha=0.5)
        axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(
            x,
            [cell.mean for cell in cells],
            color=color,
            marker="o" if len(x) <= _MOST_MARKS else ".",
            markersize=4,
            label=plain_text(line.label),
        )
    _scale_episodes(axes, [x for line in lines for x in line.episodes_spent])
    axes.set_xlabel("episodes spent in the task")
    axes.set_ylabel("return per episode (sampled actions)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _scale_episodes(axes: Axes, episodes: Sequence[int]) -> None:
    """Make the axis logarithmic from the first adaptation on; before it, linear from 0."""
    if spent := [x for x in episodes if x > 0]:
        first, last = min(spent), max(spent)
        axes.set_xscale("symlog", linthresh=first, linscale=0.5)
        axes.set_xticks([0, *_round_numbers(first, last)], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        axes.set_xticks([0])


def _round_numbers(first: int, last: int) -> Iterator[int]:
    """Those of 1, 2, 5, 10, 20, ... that lie in between."""
    for power in range(len(str(last))):
        yield from (x for x in (10**power, 2 * 10**power, 5 * 10**power) if first <= x <= last)
