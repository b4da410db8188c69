"""A report's pictures: learning curves, adaptation curves, performance profiles; one panel each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from metarl_cli.reports.adaptation import Line, adaptation_figure
from metarl_cli.reports.benchmark.runs import Method
from metarl_cli.reports.benchmark.summary import Band, PanelSummary
from metarl_cli.reports.pictures import (
    PANEL_DPI,
    draw_level,
    name_panel,
    panel_grid,
    plain_text,
    save_picture,
)
from metarl_cli.runtime.evaluation import EpisodeRow, Interval

BEHIND = "interquartile mean over seeds and tasks, 95 % interval; in brackets: number of seeds"
LEARNING, ADAPTATION, PROFILE = "learning.png", "adaptation.png", "profile.png"
_MOST_MARKS = 12
Summaries = Sequence[PanelSummary]


def draw(summaries: Summaries, folder: Path) -> list[Path]:
    """Draw what there is to draw and return the files."""
    paths = [_adaptation(summaries, folder / ADAPTATION)]
    if any(summary.learning for summary in summaries):
        paths.append(_learning(summaries, folder / LEARNING))
    return [*paths, _profiles(summaries, folder / PROFILE)]


def colors_of(summaries: Summaries) -> dict[str, str]:
    """One colour per label in all panels."""
    labels = dict.fromkeys(m.label for summary in summaries for m in summary.panel.methods)
    return {label: f"C{i % 10}" for i, label in enumerate(labels)}


def _adaptation(summaries: Summaries, path: Path) -> Path:
    panels = {
        summary.panel.env: [
            _line(method, summary.adaptation[method.label]) for method in summary.panel.methods
        ]
        for summary in summaries
    }
    named = {
        _named(method): colors_of(summaries)[method.label]
        for summary in summaries
        for method in summary.panel.methods
    }
    adaptation_figure(
        panels,
        path,
        title=f"Learning within a task: {BEHIND}",
        colors=named,
        levels={summary.panel.env: summary.anchor_levels for summary in summaries},
    )
    return path


def _line(method: Method, band: Band) -> Line:
    """Return the method's curve as one meta-test."""
    evaluation = method.runs[0].evaluation
    rows = [
        EpisodeRow(
            round(x / evaluation.envs_per_task),
            Interval(e.value, *(e.value if end is None else end for end in (e.low, e.high))),
        )
        for x, e in zip(band.x, band.estimates, strict=True)
    ]
    return Line(_named(method), dataclasses.replace(evaluation, episodes=rows))


def _learning(summaries: Summaries, path: Path) -> Path:
    shown = [summary for summary in summaries if summary.learning]
    title = "Meta-training, score on validation tasks: interquartile mean over seeds, 95 % interval"
    figure, places = panel_grid(len(shown), f"{title}; in brackets: number of seeds")
    colors = colors_of(summaries)
    for axes, summary in zip(places, shown, strict=True):
        for method in summary.panel.methods:
            if band := summary.learning.get(method.label):
                _draw_band(axes, band, colors[method.label], _named(method))
        if summary.threshold is not None:
            draw_level(axes, summary.threshold, "threshold")
        _finish(axes, summary.panel.env, "environment steps (all counted)", "validation score")
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    save_picture(figure, path, dpi=PANEL_DPI)
    return path


def _profiles(summaries: Summaries, path: Path) -> Path:
    figure, places = panel_grid(
        len(summaries), "Performance profile: how many of the seeds and tasks score more"
    )
    colors = colors_of(summaries)
    for axes, summary in zip(places, summaries, strict=True):
        for method in summary.panel.methods:
            profile = summary.profiles[method.label]
            label = plain_text(_named(method))
            axes.step(summary.levels, profile, color=colors[method.label], label=label)
        normaliser = summary.panel.normaliser
        words = f" ({normaliser.words})" if normaliser else ""
        tasks = summary.panel.methods[0].runs[0].evaluation.in_words()
        title = f"{summary.panel.env}, {tasks}"
        _finish(axes, title, f"score{words}", "share of seeds and tasks above")
        axes.set_ylim(-0.02, 1.02)
    save_picture(figure, path, dpi=PANEL_DPI)
    return path


def _draw_band(axes: Axes, band: Band, color: str, label: str) -> None:
    values = [estimate.value for estimate in band.estimates]
    ends: Mapping[str, list[float]] = {
        end: [e.value if (x := getattr(e, end)) is None else x for e in band.estimates]
        for end in ("low", "high")
    }
    axes.fill_between(band.x, ends["low"], ends["high"], color=color, alpha=0.2, linewidth=0)
    mark = "o" if len(band.x) <= _MOST_MARKS else ""
    axes.plot(band.x, values, color=color, marker=mark, markersize=4, label=plain_text(label))


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    name_panel(axes, title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _named(method: Method) -> str:
    return f"{method.label} ({len(method.runs)})"
