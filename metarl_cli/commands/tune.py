"""`metarl tune`: search for good settings; `metarl tune report`: what a search has found.

Optuna, an extra, is needed here only; so what needs it is imported once it is known to be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from metarl_cli.config.arguments import as_value
from metarl_cli.core.errors import UserError

FOLDERS_OF_USERS = ("command-line", "hydra.searchpath in command-line")  # as Hydra calls them


def run(words: Sequence[str], cfg: DictConfig) -> int:
    """Work on a study until it has its trials.

    Args:
        words: settings of the runs, some of them with a range; none: those of the study.
        cfg: of the search itself.
    """
    return _part("command").search(cfg, [*_folders_of_configs(), *words] if words else [])


def report(cfg: DictConfig) -> int:
    """Show the trials of a study and write its best settings as a preset."""
    return _part("report").report(Path(cfg.study), Path(cfg.to) if cfg.to else None, top=cfg.top)


def _part(name: str) -> Any:
    if find_spec("optuna") is None:
        raise UserError("metarl tune needs Optuna: pip install 'metarl-cli[tune]'")
    return import_module(f"metarl_cli.sweeps.tuning.{name}")


def _folders_of_configs() -> list[str]:
    """Hand on to the runs where the user keeps presets of his own."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [
        str(Path(source.path).absolute())
        for source in sources
        if source.provider in FOLDERS_OF_USERS and source.schema == "file"
    ]
    listed = ",".join(as_value(f"file://{folder}") for folder in folders)
    return [f"hydra.searchpath=[{listed}]"] if folders else []
