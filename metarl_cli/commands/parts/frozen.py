"""Reads what a run folder keeps: its frozen configuration and its checkpoints."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from metarl_cli.commands.parts.assemble import Parts, assemble
from metarl_cli.config.build import merge_overrides
from metarl_cli.config.check import check
from metarl_cli.config.frozen import read_frozen
from metarl_cli.config.schema import TrainConfig
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Algorithm
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.manifest import Manifest
from metarl_cli.runtime.run_record import RunRecord


def load_config(run: RunRecord) -> DictConfig:
    """Read the frozen configuration of a run; its text is data and never runs code."""
    return read_frozen(run.files.config)


def settings_of(run: RunRecord, overrides: DictConfig) -> DictConfig:
    """Return the checked configuration of a run with some settings changed."""
    cfg = merge_overrides(load_config(run), overrides)
    check(cfg, TrainConfig)
    return cfg


def load_checkpoint(run: RunRecord, manifest: Manifest | None) -> tuple[dict[str, Any], Manifest]:
    """Load the checkpoint that was asked for, or the newest intact one."""
    if manifest is not None:
        return run.checkpoints().load(manifest), manifest
    return _telling(run.checkpoints().load_latest())


def load_best(run: RunRecord) -> tuple[dict[str, Any], Manifest]:
    """Load the best intact checkpoint by validation tasks; the newest if none was scored."""
    return _telling(run.checkpoints().load_best())


def _telling(
    loaded: tuple[dict[str, Any], Manifest, list[str]],
) -> tuple[dict[str, Any], Manifest]:
    """Tell the user what is damaged and what is used instead."""
    state, used, damaged = loaded
    for text in damaged:
        tell(f"{text}; using {used.file}")
    return state, used


def load_agent(
    run: RunRecord, manifest: Manifest | None, cfg: DictConfig
) -> tuple[Parts, Manifest, str]:
    """Build what `cfg` says and give it what it has learned, the best there is unless one is named.

    Returns:
        The parts, the manifest of the checkpoint that was used, and its path.
    """
    state, used = load_best(run) if manifest is None else load_checkpoint(run, manifest)
    source = str(run.files.checkpoints / used.file)
    parts = assemble(cfg)
    parts.require_room(training=False)
    restore(parts.algorithm, state, source)
    return parts, used, source


def restore(algorithm: Algorithm, state: dict[str, Any], source: str) -> None:
    """Give an algorithm what a checkpoint has learned; a UserError if it does not fit."""
    parts, saved = algorithm.learned(), state["learned"]
    if not isinstance(saved, dict) or saved.keys() != parts.keys():
        held = ", ".join(map(str, saved)) if isinstance(saved, dict) else "no parts"
        raise UserError(
            f"checkpoint {source} does not fit this configuration: it holds "
            f"{held or 'no parts'}, not {', '.join(parts)}"
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"checkpoint {source} does not fit this configuration: {reason}") from error
