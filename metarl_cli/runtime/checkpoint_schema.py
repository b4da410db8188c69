"""What earlier versions wrote into checkpoints, brought into the present form."""

from __future__ import annotations

from typing import Any

SCHEMA = 2
STATE_KEYS = {"learned", "experience", "sampler", "random", "progress", "record", "identity"}
EXPERIENCE = ("buffer", "replay", "context")  # so named while parts of both kinds stood together


def to_present(state: Any, schema: int) -> dict[str, Any]:
    """Return a state in the present form.

    Schema 1 kept learned parts and experience together under `parts`, and the transitions of all
    rings of a replay in one tensor.

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
    for kept in experience.values():
        if isinstance(kept, dict) and "counts" in kept:
            rows, counts = kept.pop("rows", None), kept["counts"].tolist()
            kept["rings"] = [] if rows is None else [x.clone() for x in rows.split(counts)]
    return state | {"learned": parts, "experience": experience}
