"""Reads what a run folder keeps: its frozen configuration and its checkpoints."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Algorithm
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.checkpoint import Manifest
from metarl_cli.runtime.runs import RunFolder


def load_config(folder: RunFolder) -> DictConfig:
    """Read the frozen configuration of a run; its text is data and never runs code."""
    try:
        loaded = OmegaConf.load(folder.config)
    except (OSError, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {folder.config}: not the config of a run") from error
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{folder.config} is not the config of a run")
    return loaded


def load_checkpoint(folder: RunFolder, manifest: Manifest | None) -> dict[str, Any]:
    """Load the checkpoint that was asked for, or the newest intact one."""
    if manifest is not None:
        return folder.store().load(manifest)
    state, used, damaged = folder.store().load_latest()
    for text in damaged:
        tell(f"{text}; using {used.file}")
    return state


def restore(algorithm: Algorithm, state: dict[str, Any], source: str) -> None:
    """Put the parts of a checkpoint into an algorithm; a UserError if they do not fit."""
    try:
        for name, part in algorithm.parts().items():
            part.load_state_dict(state["parts"][name])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"checkpoint {source} does not fit this configuration: {first}") from error
