"""`metarl report`: many runs in tables, pictures and a page."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from metarl_cli.commands.parts.benchmark_runs import panels_of
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.core.files import write_atomically
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.reports.benchmark.page import has_plotting, page
from metarl_cli.reports.benchmark.pictures import draw
from metarl_cli.reports.benchmark.sheets import episodes_csv, methods_csv
from metarl_cli.reports.benchmark.summary import PanelSummary
from metarl_cli.reports.benchmark.tables import markdown

TABLE, PAGE = "report.md", "report.html"
METHODS, EPISODES = "methods.csv", "episodes.csv"


def run(cfg: DictConfig) -> int:
    """Write what the runs say together; those of one environment share a panel."""
    if not cfg.runs:
        raise UserError("runs=[] names no run")
    panels = panels_of(list(cfg.runs), split=cfg.split)
    summaries = [PanelSummary(panel, cfg.threshold) for panel in panels]
    folder = Path(cfg.to)
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        pictures = draw(summaries, folder)
        for name, text in _texts(summaries).items():
            write_atomically(folder / name, text.encode(errors="backslashreplace"))
    _tell(summaries, folder, pictures)
    return 0


def _texts(summaries: list[PanelSummary]) -> dict[str, str]:
    texts = {
        TABLE: markdown(summaries),
        METHODS: methods_csv(summaries),
        EPISODES: episodes_csv(summaries),
    }
    return texts | {PAGE: page(summaries)} if has_plotting() else texts


def _tell(summaries: list[PanelSummary], folder: Path, pictures: list[Path]) -> None:
    console = LastingConsole(soft_wrap=True, markup=False, highlight=False)
    for summary in summaries:
        for note in summary.notes:
            console.print(f"{summary.panel.env}: {note}")
    console.print(f"drawn in {', '.join(map(str, pictures))}")
    written = (folder / name for name in (TABLE, METHODS, EPISODES))
    console.print(f"written in {', '.join(map(str, written))}")
    if has_plotting():
        console.print(f"to look at in a browser: {folder / PAGE}")
    else:
        console.print(f"no {PAGE}: it needs pip install 'metarl-cli[report]'")
