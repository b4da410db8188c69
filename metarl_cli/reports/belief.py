"""An agent's path and its belief about where a hidden goal is, step by step.

After figure 3 of Zintgraf et al. 2020 (VariBAD, arXiv:1910.08348).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from metarl_cli.reports.belief_panels import CHANCE, COLORS, Beliefs, cells_panel, semicircle_panel
from metarl_cli.reports.pictures import save_picture

_DPI = 110
_MOST_EPISODES = 4


@dataclass(frozen=True)
class TrialPicture:
    """A trial of several episodes of H steps, and beliefs before each step."""

    title: str
    goal: np.ndarray  # [2], its place
    goals: np.ndarray  # [G, 2], places that may be the goal
    cells: bool  # they are cells of a grid; else they lie evenly on a semicircle
    positions: np.ndarray  # [episodes, H, 2], before each step
    exact: np.ndarray  # [episodes, H, G], what is expected there, 0 to 1
    learned: np.ndarray | None  # likewise


@dataclass(frozen=True)
class _Style:
    panel: Callable[[Axes, np.ndarray, np.ndarray, Beliefs, np.ndarray], None]
    width_in: float  # of a panel
    height_in: float
    most_panels: int  # per episode
    apart: bool  # learned and exact belief have panels of their own
    quantity: str


_CELLS = _Style(cells_panel, 1.15, 1.15, 8, True, "chance that the goal is here")
_SEMICIRCLE = _Style(semicircle_panel, 1.7, 1.12, 7, False, "reward expected here")


def belief_figure(trial: TrialPicture, path: Path) -> None:
    """Draw some steps of each episode, with the learned and the exact belief."""
    style = _CELLS if trial.cells else _SEMICIRCLE
    episodes, horizon = trial.positions.shape[:2]
    beliefs = {"exact": trial.exact}
    if trial.learned is not None:
        beliefs = {"learned": trial.learned, **beliefs}
    kinds = [[kind] for kind in beliefs] if style.apart else [list(beliefs)]
    rows = [(k, shown) for k in range(min(episodes, _MOST_EPISODES)) for shown in kinds]
    steps = np.unique(np.linspace(0, horizon - 1, style.most_panels).round().astype(int))
    size = (len(steps) * style.width_in + 1.4, len(rows) * style.height_in + 0.6)
    spacing = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    figure = Figure(figsize=size, layout=spacing)
    FigureCanvasAgg(figure)
    figure.suptitle(trial.title, fontsize=9)
    panels = figure.subplots(len(rows), len(steps), squeeze=False)
    for row, (k, shown) in zip(panels, rows, strict=True):
        label = [f"episode {k}", *(shown if style.apart else [])]
        row[0].set_ylabel("\n".join(label), fontsize=8)
        for axes, t in zip(row, steps, strict=True):
            now = {kind: beliefs[kind][k, t] for kind in shown}
            style.panel(axes, trial.goals, trial.goal, now, trial.positions[k, : t + 1])
    for axes, t in zip(panels[0], steps, strict=True):
        axes.set_title(f"before step {t}", fontsize=7, pad=3)
    scale = figure.colorbar(
        ScalarMappable(CHANCE, COLORS), ax=panels, aspect=40, shrink=min(1.0, 4 / len(rows))
    )
    scale.set_label(style.quantity, fontsize=8)
    scale.set_ticks([0, 0.05, 0.25, 0.5, 1], labels=["0", ".05", ".25", ".5", "1"], fontsize=7)
    save_picture(figure, path, dpi=_DPI)
