"""`metarl curves`: how runs learn and adapt, a picture in the folder of each."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from omegaconf import DictConfig

from metarl_cli.commands.parts.run_curves import curves_of, setting_of_tasks
from metarl_cli.core.errors import UserError, writing_into
from metarl_cli.loggers.console import LastingConsole
from metarl_cli.loggers.notices import tell
from metarl_cli.reports.curves import RunCurves, common_limits, draw_run
from metarl_cli.runtime.find_runs import find_checkpoint, find_runs
from metarl_cli.runtime.run_record import RunRecord


def run(cfg: DictConfig) -> int:
    """Draw `curves.png` of every run; those of one environment have the same axis of returns."""
    groups: dict[str, list[tuple[RunRecord, RunCurves]]] = defaultdict(list)
    for record in _chosen(cfg.runs):
        try:
            groups[setting_of_tasks(record)].append((record, curves_of(record)))
        except UserError as error:
            if len(cfg.runs) == 1 and Path(cfg.runs[0]) == record.folder:
                raise
            tell(f"no curves: {error}")
    for group in groups.values():
        limits = common_limits([curves for _, curves in group])
        for record, curves in group:
            with writing_into(record.folder):
                draw_run(curves, record.files.curves, limits)
            LastingConsole().print(f"drawn in {record.files.curves}", soft_wrap=True, markup=False)
    return 0


def _chosen(references: list[str]) -> list[RunRecord]:
    """Return the runs that are meant: run folders, folders of runs, `latest`."""
    if not references:
        raise UserError("runs=[] names no run")
    found: list[RunRecord] = []
    for reference in references:
        if reference == "latest":
            found.append(find_checkpoint(reference)[0])
            continue
        if not Path(reference).is_dir():
            raise UserError(f"{reference} is no folder")
        runs = sorted(find_runs(Path(reference)), key=lambda record: record.folder)
        if not runs:
            raise UserError(f"there is no run in {reference}")
        found += runs
    return found
