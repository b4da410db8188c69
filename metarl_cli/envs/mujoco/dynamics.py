"""Robots whose hidden task is their own dynamics.

Rakelly et al. 2019 (PEARL, arXiv:1903.08254), section 6.1: walker and hopper with random
parameters, as in the `rand_param_envs` that their code runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from gymnasium.spaces import Box

from metarl_cli.core.checks import require_choice, require_positive, require_range
from metarl_cli.envs.mujoco.physics import Physics

FIELDS = ("body_mass", "body_inertia", "geom_friction", "dof_damping")  # of a MuJoCo model
NOMINAL: dict[str, Any] = {"exponent_range": (-1.0, 1.0), "bases": {}}  # nothing varies


class RandomDynamics:
    """Parameters of a model times base^e, other exponents e in each simulation: they are the task.

    Each entry has its own exponent: each body's mass, each axis of its inertia, each friction
    coefficient of each geom, and the damping of each degree of freedom. Entries that are zero, as
    those of the world, stay zero and are no part of the task. Masses and inertias vary
    independently, as in the original, so that a body may have the inertia of no solid.

    Args:
        model: whose parameters vary.
        exponent_range: `[low, high]` of all exponents, drawn uniformly.
        bases: what is raised to them, under names from `FIELDS`; other fields stay as they are.
    """

    def __init__(
        self, model: mujoco.MjModel, *, exponent_range: Sequence[float], bases: dict[str, float]
    ) -> None:
        self._low, self._high = require_range("dynamics.exponent_range", exponent_range)
        for field in bases:
            require_choice("dynamics.bases", field, FIELDS)
        require_positive(**{f"dynamics.bases.{field}": base for field, base in bases.items()})
        self._parts = [_Part.of(model, field, base) for field, base in bases.items()]
        names = _entry_names(model)
        self.task_names = tuple(
            f"{part.field}_{names[part.field][entry]}"
            for part in self._parts
            for entry in part.entries
        )
        self.task_space = Box(self._low, self._high, (len(self.task_names),), np.float64)

    def tasks_from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Map `[num, D]` numbers from U[0, 1) to exponents `[num, D]`."""
        return self._low + (self._high - self._low) * uniform

    def of(self, physics: Physics) -> AppliedDynamics:
        """Return what gives simulations of the model their own dynamics."""
        return AppliedDynamics(physics, self._parts)


class AppliedDynamics:
    """The dynamics of a batch of simulations; see `RandomDynamics.of`."""

    def __init__(self, physics: Physics, parts: Sequence[_Part]) -> None:
        self._batch = physics.batch
        self._parts = [(part, _flat(physics.batch.expand(part.field))) for part in parts]
        size = sum(len(part.entries) for part in parts)
        self._applied = np.full((self._batch.nsim, size), np.nan)

    def apply(self, exponents: np.ndarray, rows: np.ndarray) -> None:
        """Give simulations `rows` `[R]` the dynamics of `exponents` `[R, D]`.

        What MuJoCo derives from the parameters is computed anew, where they have changed. The
        state of the simulations is left for `Physics.reset`.
        """
        changed = (exponents != self._applied[rows]).any(axis=1)
        if not changed.any():
            return
        rows, exponents = rows[changed], exponents[changed]
        self._applied[rows] = exponents
        start = 0
        for part, values in self._parts:
            end = start + len(part.entries)
            factors = part.base ** exponents[:, start:end]
            values[rows[:, None], part.entries] = part.nominal * factors
            start = end
        self._batch.set_const(rows)


@dataclass(frozen=True)
class _Part:
    """One field of the model, flattened: `[F]` entries, of which the nonzero ones vary."""

    field: str
    base: float
    entries: np.ndarray  # [E] places of the varied entries in the field
    nominal: np.ndarray  # [E] their values in the model

    @classmethod
    def of(cls, model: mujoco.MjModel, field: str, base: float) -> _Part:
        nominal = np.array(getattr(model, field), np.float64).ravel()
        entries = np.flatnonzero(nominal)
        return cls(field, base, entries, nominal[entries])


def _flat(values: np.ndarray) -> np.ndarray:
    """Return a view `[B, F]` of a field of each simulation, `[B, ...]`."""
    flat = values.reshape(len(values), -1)
    assert np.shares_memory(flat, values)
    return flat


def _entry_names(model: Any) -> dict[str, list[str]]:
    """Return a name for each entry of each field, in the order of the flattened field."""

    def named(kind: mujoco.mjtObj, objects: Sequence[int], suffixes: str = "") -> list[str]:
        names = [mujoco.mj_id2name(model, kind, int(item)) or str(item) for item in objects]
        return [f"{name}_{suffix}" for name in names for suffix in suffixes] if suffixes else names

    bodies, geoms = range(model.nbody), range(model.ngeom)
    return {
        "body_mass": named(mujoco.mjtObj.mjOBJ_BODY, bodies),
        "body_inertia": named(mujoco.mjtObj.mjOBJ_BODY, bodies, "xyz"),
        "geom_friction": named(mujoco.mjtObj.mjOBJ_GEOM, geoms, "012"),
        "dof_damping": named(mujoco.mjtObj.mjOBJ_JOINT, model.dof_jntid),
    }
