"""What earlier versions wrote into checkpoints, brought into the present form."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from metarl_cli.core.types import TimeStep

STATE_KEYS = {"learned", "experience", "sampler", "random", "progress", "record", "identity"}
STEP = tuple(field.name for field in fields(TimeStep))
EXPERIENCE = ("buffer", "replay", "context")  # so named while parts of both kinds stood together


def to_present(state: Any, schema: int) -> dict[str, Any]:
    """Return a state in the present form.

    Schema 1 kept learned parts and experience together under `parts`, the transitions of all rings
    of a replay in one tensor, whole trials without their terminations, most memories beside their
    inputs instead of in one `StepMemory`, and mean squares instead of variances.

    Raises:
        ValueError: it is no state of a run.
    """
    if not isinstance(state, dict):
        raise ValueError("not a mapping")
    if schema == 1:
        state = _from_1(state)
    if not state.keys() >= STATE_KEYS:
        raise ValueError(f"it lacks {', '.join(sorted(STATE_KEYS - state.keys()))}")
    return state


def _from_1(state: dict[str, Any]) -> dict[str, Any]:
    parts = state.pop("parts", None)
    if not isinstance(parts, dict):
        raise ValueError("it lacks parts")
    experience = {name: parts.pop(name) for name in EXPERIENCE if name in parts}
    return state | {
        "learned": {n: _with_variance(_with_step_memory(x)) for n, x in parts.items()},
        "experience": {name: _experience_from_1(kept) for name, kept in experience.items()},
    }


def _experience_from_1(kept: Any) -> Any:
    if not isinstance(kept, dict):
        return kept
    if "counts" in kept:
        rows, counts = kept.pop("rows", None), kept["counts"].tolist()
        return kept | {"rings": [] if rows is None else [x.clone() for x in rows.split(counts)]}
    stored = kept.get("stored")
    if isinstance(stored, dict) and "next_obs" in stored:
        step = {name: stored.pop(name) for name in STEP if name in stored}
        ended = {"terminated": torch.zeros_like(step["active"])}  # no trial was ever cut there
        return kept | {"stored": {"step": step, **stored, **ended, "extras": {}}}
    return kept


def _with_step_memory(part: Any) -> Any:
    """Rename `inputs.*` and `memory.*` of a module that has both to be within its `memory`."""
    if not isinstance(part, dict) or not all(isinstance(key, str) for key in part):
        return part
    holders = {key.rpartition("inputs.")[0] for key in part if "inputs." in key}
    for holder in holders:
        has_memory = any(key.startswith(f"{holder}memory.") for key in part)
        if has_memory and not holder.endswith("memory."):
            part = {_within_memory(key, holder): x for key, x in part.items()}
    return part


def _with_variance(part: Any) -> Any:
    """Give normalisers the variance in place of the mean square."""
    if not isinstance(part, dict):
        return part
    holders = [str(key).removesuffix("mean_square") for key in part if "mean_square" in str(key)]
    for holder in holders:
        mean, square = part[f"{holder}mean"], part.pop(f"{holder}mean_square")
        part[f"{holder}variance"] = square - mean.square()
    return part


def _within_memory(key: str, holder: str) -> str:
    child = key.removeprefix(holder)
    inside = key.startswith(holder) and child.startswith(("inputs.", "memory."))
    return f"{holder}memory.{child}" if inside else key
