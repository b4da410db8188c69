"""The picture of one run, curves.png: how it learned, and how it adapts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metarl_cli.loggers.jsonl import Row
from metarl_cli.reports.anchors import Anchors, draw_anchors, values_of
from metarl_cli.reports.learning import (
    draw_learning,
    last_validation,
    learning_range,
    most_adaptations,
)
from metarl_cli.reports.pictures import save_picture
from metarl_cli.reports.tested import draw_adaptation, draw_tasks, tested_range
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation
from metarl_cli.runtime.run_record import Identity

Limits = tuple[float, float]

_SIZE_IN = (10.0, 5.0)
_DPI = 110
_MARGIN = 0.05  # of the axis of returns, beyond what is shown
_MOST_COLUMNS = 4  # of the legend


@dataclass(frozen=True)
class Background:
    """What is known of the environment of a run beside what the run has measured."""

    hidden_task: str  # in words, with its distribution
    task_names: Sequence[str]
    horizon: int  # steps per episode
    anchors: Anchors  # of `TaskFamily.anchors`


@dataclass(frozen=True)
class RunCurves:
    """All that the picture of a run shows."""

    identity: Identity
    rows: Sequence[Row]  # of the record
    evaluation: Evaluation | None  # None: there has been no meta-test yet
    background: Background | None  # None: nothing is known
    dense_training: bool = False  # batches have another reward than tests

    @property
    def tested(self) -> Sequence[EpisodeRow]:
        """The meta-test by number of adaptations, before there is one the last validation."""
        return last_validation(self.rows) if self.evaluation is None else self.evaluation.episodes

    @property
    def anchors(self) -> Anchors:
        """Exact returns of known policies."""
        return {} if self.background is None else self.background.anchors


def draw_run(curves: RunCurves, path: Path, limits: Limits | None = None) -> None:
    """Write the picture of a run.

    Args:
        curves: what it shows.
        path: of the PNG.
        limits: of both axes of returns, see `common_limits`; None: those of this run.
    """
    save_picture(run_figure(curves, limits), path, dpi=_DPI)


def common_limits(several: Iterable[RunCurves]) -> Limits | None:
    """Return the limits of an axis on which the returns of all runs can be compared.

    Training batches may leave it, and do in the noise of the first iterations.
    """
    values = [x for curves in several for x in _values(curves)]
    if not values:
        return None
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def run_figure(curves: RunCurves, limits: Limits | None = None) -> Figure:
    """Draw meta-training beside meta-test, one axis of returns, one legend, exact anchors."""
    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    most = max([most_adaptations(curves.rows), *(row.index for row in curves.tested)])
    learned = learning_range(curves.rows) is not None
    panels = figure.subplots(1, 1 + learned, sharey=True, squeeze=False)[0]
    handles: list[Artist] = []
    if learned:
        num = curves.evaluation.num_tasks if curves.evaluation else None
        dense = curves.dense_training
        handles += draw_learning(panels[0], curves.rows, most=most, num_tasks=num, dense=dense)
        draw_anchors(panels[0], curves.anchors)
    handles += _draw_tested(panels[-1], curves, most)
    handles += draw_anchors(panels[-1], curves.anchors, by_episode=len(curves.tested) > 1)
    panels[0].set_ylabel("return per episode")
    if (ends := limits or common_limits([curves])) is not None:
        panels[0].set_ylim(*ends)
    figure.suptitle(_title(curves), fontsize=10)
    _add_legend(figure, handles)
    return figure


def _add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a legend below the panels, in as many columns as fit."""
    for columns in range(_MOST_COLUMNS, 0, -1):
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=columns, fontsize=7.5
        )
        if legend.get_window_extent().width < figure.bbox.width or columns == 1:
            return
        legend.remove()


def _draw_tested(axes: Axes, curves: RunCurves, most: int) -> list[Artist]:
    evaluation, names = curves.evaluation, curves.background and curves.background.task_names
    if evaluation is None:
        handles = draw_adaptation(axes, curves.tested, most=most)
        axes.set_title("last validation; no meta-test yet", fontsize=10)
        return handles
    if len(evaluation.episodes) == 1 and evaluation.tasks:
        handles = draw_tasks(axes, evaluation, names or ())
    else:
        handles = draw_adaptation(axes, evaluation.episodes, most=most)
    each = evaluation.envs_per_task
    what = f"meta-test: {evaluation.in_words()}, {each} episode{'s' * (each > 1)} each"
    axes.set_title(what, fontsize=10)
    return handles


def _values(curves: RunCurves) -> list[float]:
    learned = learning_range(curves.rows, batches=not curves.dense_training)
    tasks = curves.evaluation.tasks if len(curves.tested) == 1 and curves.evaluation else []
    return [*(learned or ()), *tested_range(curves.tested, tasks), *values_of(curves.anchors)]


def _title(curves: RunCurves) -> str:
    """Say what, where, on which tasks, how many seeds."""
    known, background = curves.identity, curves.background
    first = f"{known.title}, one run (seed {known.seed})"
    if background is None:
        return first
    steps = f"{background.horizon} step{'s' * (background.horizon > 1)} per episode"
    return f"{first}\nhidden task: {background.hidden_task}; {steps}"
