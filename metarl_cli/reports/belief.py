"""An agent's path on a grid and its belief about the goal, step by step.

After figure 3 of Zintgraf et al. 2020 (VariBAD, arXiv:1910.08348).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

_PANEL_IN, _DPI = 1.15, 110
_MOST_PANELS = 8  # per episode
_MOST_EPISODES = 4
_CHANCE = PowerNorm(0.5, 0.0, 1.0)  # tells 0 from 1 / number of goals
_COLORS, _NO_GOAL = "Blues", "#e4e4e4"
_PATH, _GOAL = "#e6550d", "#2ca02c"


@dataclass(frozen=True)
class TrialPicture:
    """A trial of several episodes of H steps, and beliefs before each step."""

    title: str
    goal: np.ndarray  # [2], its cell
    goals: np.ndarray  # [G, 2], cells that may be the goal
    positions: np.ndarray  # [episodes, H, 2], before each step
    exact: np.ndarray  # [episodes, H, G]
    learned: np.ndarray | None  # likewise, chances of 0 to 1


def belief_figure(trial: TrialPicture, path: Path) -> None:
    """Draw some steps of each episode: the learned belief above the exact one."""
    episodes, horizon = trial.positions.shape[:2]
    kinds = {"exact": trial.exact}
    if trial.learned is not None:
        kinds = {"learned": trial.learned, **kinds}
    shown = [(k, kind) for k in range(min(episodes, _MOST_EPISODES)) for kind in kinds]
    steps = np.unique(np.linspace(0, horizon - 1, _MOST_PANELS).round().astype(int))
    size = ((len(steps) + 1.2) * _PANEL_IN, (len(shown) + 0.5) * _PANEL_IN)
    spacing = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    figure = Figure(figsize=size, layout=spacing)
    FigureCanvasAgg(figure)
    figure.suptitle(trial.title, fontsize=9)
    panels = figure.subplots(len(shown), len(steps), squeeze=False)
    for row, (k, kind) in zip(panels, shown, strict=True):
        row[0].set_ylabel(f"episode {k}\n{kind}", fontsize=8)
        for axes, t in zip(row, steps, strict=True):
            _panel(axes, trial, kinds[kind][k, t], trial.positions[k, : t + 1])
    for axes, t in zip(panels[0], steps, strict=True):
        axes.set_title(f"before step {t}", fontsize=7, pad=3)
    scale = figure.colorbar(
        ScalarMappable(_CHANCE, _COLORS), ax=panels, aspect=40, shrink=min(1.0, 4 / len(shown))
    )
    scale.set_label("chance that the goal is here", fontsize=8)
    scale.set_ticks([0, 0.05, 0.25, 0.5, 1], labels=["0", ".05", ".25", ".5", "1"], fontsize=7)
    figure.savefig(path, dpi=_DPI)


def _panel(axes: Axes, trial: TrialPicture, chance: np.ndarray, path: np.ndarray) -> None:
    cells = trial.goals.astype(int)
    size = cells.max() + 1
    grid = np.full((size, size), np.nan)  # [y, x]
    grid[cells[:, 1], cells[:, 0]] = chance.clip(0, 1)
    axes.set_facecolor(_NO_GOAL)
    axes.imshow(grid, origin="lower", cmap=_COLORS, norm=_CHANCE)
    axes.hlines(np.arange(size + 1) - 0.5, -0.5, size - 0.5, color="white", linewidth=0.8)
    axes.vlines(np.arange(size + 1) - 0.5, -0.5, size - 0.5, color="white", linewidth=0.8)
    x, y = trial.goal
    axes.add_patch(
        Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fill=False, color=_GOAL, linewidth=1.6)
    )
    axes.plot(*path.T, color=_PATH, linewidth=1.2, alpha=0.8)
    axes.plot(*path[-1], "o", color=_PATH, markersize=4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(-0.5, size - 0.5)
