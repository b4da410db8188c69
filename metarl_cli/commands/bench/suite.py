"""`metarl bench suite`: many measurements, kept in a file, so that a regression is seen."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from metarl_cli.commands.bench.contestants import Rates, measure, recurring
from metarl_cli.commands.bench.tables import measures, suite_table
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.words import suggest
from metarl_cli.functional.gru import gru_sequence
from metarl_cli.runtime.process import set_threads
from metarl_cli.runtime.runs import environment_facts

FORMAT = 1
BENCH = (sys.executable, "-m", "metarl_cli", "bench")

Turns = dict[str, Any]  # what one row has found


def run(cfg: DictConfig) -> int:
    """Measure the rows, one after the other; keep all turns, show medians and ranges."""
    earlier = measures(read(Path(cfg.against))) if cfg.against is not None else {}
    rows = chosen(OmegaConf.to_container(cfg.rows), cfg.only)
    output, console = Path(cfg.output), Console()
    output.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"format": FORMAT, **environment_facts(), "rows": {}}
    for number, (name, row) in enumerate(rows.items(), 1):
        console.print(f"{number}/{len(rows)}  {name}")
        found["rows"][name] = measure_row(row, cfg)
        output.write_text(json.dumps(found, indent=1) + "\n")
    console.print(suite_table(measures(found), earlier))
    console.print(f"written to {output}", soft_wrap=True, markup=False)
    return 0


def chosen(rows: Any, only: Sequence[str]) -> dict[str, list[str]]:
    """Return the rows with these names, or all.

    Raises:
        UserError: there is no such row.
    """
    for name in only:
        if name not in rows:
            hint = suggest(name, rows) or f" There are {', '.join(rows)}."
            raise UserError(f"only: there is no row {name}.{hint}")
    return {name: rows[name] for name in only or rows}


def read(path: Path) -> dict[str, Any]:
    """Return what an earlier suite has found.

    Raises:
        UserError: the file is not one of those.
    """
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(f"{path}: not written by this version's `metarl bench suite`")
    return found


def measure_row(row: list[str], cfg: DictConfig) -> Turns:
    """Measure a row: a `bench` of its own, two of them side by side, or recurrent cells."""
    kind, *settings = row if "=" not in row[0] else ["bench", *row]
    match kind:
        case "bench":
            return _finish(_start(settings, cfg))
        case "side_by_side":
            return {kind: [_side_by_side(settings, cfg) for _ in range(cfg.rounds)]}
        case "gru":
            sizes = dict(word.split("=") for word in settings)
            return {kind: _recurrent_cells({k: int(x) for k, x in sizes.items()}, cfg)}
    raise UserError(f"rows: there is no kind {kind}; expected side_by_side, gru or settings")


def _side_by_side(settings: list[str], cfg: DictConfig) -> float:
    """Return how much sooner two jobs are done at once, a thread each, than in turn with all."""
    alone = _total(_finish(_start(settings, cfg, rounds=3)))
    both = [_start([*settings, "threads=1"], cfg, rounds=3) for _ in range(2)]
    return 2 * alone / max(_total(_finish(job)) for job in both)


def _total(turns: Turns) -> float:
    return sum(turns["iteration"]["seconds"]["total"])


def _start(settings: list[str], cfg: DictConfig, **others: Any) -> tuple[Any, Path]:
    """Begin a measurement in a process of its own, whose memory and threads are its own."""
    output = Path(tempfile.mkdtemp()) / "row.json"
    own = {"threads": cfg.threads, "rounds": cfg.rounds, "seconds": cfg.seconds, **others}
    words = [f"{key}={value}" for key, value in own.items()]
    process = subprocess.Popen(
        [*BENCH, *words, *settings, f"output={output}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, output


def _finish(job: tuple[Any, Path]) -> Turns:
    process, output = job
    _, complaint = process.communicate()
    if process.returncode:
        raise RunError(f"a measurement ended with {process.returncode}: {complaint.strip()}")
    found: Turns = json.loads(output.read_text())
    output.unlink()
    output.parent.rmdir()
    return found


def _recurrent_cells(sizes: dict[str, int], cfg: DictConfig) -> Rates:
    set_threads(cfg.threads)
    torch.manual_seed(0)
    cells = nn.GRU(sizes["hidden"], sizes["hidden"])
    x = torch.randn(sizes["steps"], sizes["batch"], sizes["hidden"])
    contestants = {
        "metarl": recurring(lambda x: gru_sequence(cells, x), cells, x),
        "nn.GRU": recurring(lambda x: cells(x)[0], cells, x),
    }
    return measure(contestants, seconds=cfg.seconds, rounds=cfg.rounds)
