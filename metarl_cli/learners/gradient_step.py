"""The one place where losses become a change of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metarl_cli.core.distributed import average
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Metrics

# Scales the gradients of parameters so that their norm is at most a limit; returns the norm.
Clip = Callable[[list[Tensor], float], Tensor]


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, number for number, that starts at once.

    Torch wraps the methods of its optimisers in calls to its compiler, and the first such call
    imports all of that: more than a second of every run, and 70 MB. What is wrapped is taken here
    as it is; `step` gets no gradients by `no_grad`, as it would there.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class GradientStep:
    """Zero, backward, average over processes, clip, check that all is finite, step.

    Its state is that of the optimiser.

    Args:
        optimizer: of all parameters that are learned.
        what: is learned, for messages.
        max_grad_norm: limit of the gradient norm; None: there is none.
        apart: networks whose gradients are clipped each by itself; none: all are clipped together.
        clip: how; by default all gradients get the factor that their common norm asks for.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        what: str,
        *,
        max_grad_norm: float | None = None,
        apart: Mapping[str, nn.Module] | None = None,
        clip: Clip = nn.utils.clip_grad_norm_,
    ) -> None:
        self.optimizer, self.what, self.clip = optimizer, what, clip
        self.limit = float("inf") if max_grad_norm is None else max_grad_norm
        self.learned: list[Tensor] = [
            p for group in optimizer.param_groups for p in group["params"]
        ]
        networks: dict[str, list[Tensor]] = {
            f"{key}_grad_norm": list(x.parameters()) for key, x in (apart or {}).items()
        }
        self.clipped = networks or {"grad_norm": self.learned}

    def apply(self, *losses: Tensor) -> dict[str, Tensor]:
        """Lower the sum of scalar losses by one step.

        Returns:
            The norms of gradients before clipping: `grad_norm`, or one for each network apart.

        Raises:
            NonFiniteError: a gradient is not finite; no parameter was changed.
        """
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        average(p.grad for p in self.learned if p.grad is not None)
        norms = {name: self.clip(group, self.limit) for name, group in self.clipped.items()}
        if not torch.stack([norm.sum() for norm in norms.values()]).isfinite().all():
            raise NonFiniteError(f"the gradient of {self.what} is not finite")
        self.optimizer.step()
        return norms

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the step size; what it has come to is part of the optimiser's state."""
        for group in self.optimizer.param_groups:
            group["lr"] *= factor

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the optimiser's state."""
        self.optimizer.load_state_dict(state)


def mean_terms(history: Sequence[Mapping[str, Tensor]], group: str) -> Metrics:
    """Return means over updates of their terms, as `group/name`, and the number of updates."""
    stacked = torch.stack([torch.stack([x.detach().mean() for x in h.values()]) for h in history])
    means = zip(history[0], stacked.mean(0).tolist(), strict=True)
    return {f"{group}/{name}": x for name, x in means} | {
        f"{group}/gradient_steps": float(len(history))
    }
