"""The price of hitting the ground hard."""

from __future__ import annotations

import numpy as np

from metarl_cli.core.checks import require_not_negative, require_positive


class ContactCost:
    """A weight times the sum of squared contact forces and torques on the bodies of a robot.

    They are those of the state after the step (gymnasium's are one stage of the integrator older).

    Args:
        weight: 0 turns the cost off, and nothing is computed.
        force_limit: forces and torques are clipped to +- this (N, N m); None leaves them.
        cost_limit: the most that one step costs; None for no limit.
    """

    def __init__(
        self, *, weight: float, force_limit: float | None, cost_limit: float | None
    ) -> None:
        require_not_negative(weight=weight)
        limits = {"force_limit": force_limit, "cost_limit": cost_limit}
        require_positive(**{name: value for name, value in limits.items() if value is not None})
        self.weight = weight
        self._force_limit, self._cost_limit = force_limit, cost_limit

    def of(self, forces: np.ndarray) -> np.ndarray:
        """Return the cost `[B]` of forces and torques `[B, bodies, 6]`."""
        if self._force_limit is not None:
            forces = np.clip(forces, -self._force_limit, self._force_limit)
        cost = self.weight * np.einsum("bpf,bpf->b", forces, forces)
        return cost if self._cost_limit is None else np.minimum(cost, self._cost_limit)
