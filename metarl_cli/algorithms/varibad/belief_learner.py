"""Trains an encoder of beliefs, together with what is decoded from them, on the latest trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from metarl_cli.algorithms.varibad.belief import BeliefEncoder
from metarl_cli.buffers.trials import TrialBuffer
from metarl_cli.core.checks import require_at_least, require_positive
from metarl_cli.core.distributed import gathered, num_processes, own_part, own_share
from metarl_cli.core.protocols import Experience, Metrics, Stateful
from metarl_cli.core.types import Trajectory
from metarl_cli.learners.gradient_step import Adam, GradientStep, mean_terms

# Of trials `[T, M, ...]`: what is minimised, a sum, and what is worth knowing by name
Loss = Callable[[Trajectory], tuple[list[Tensor], dict[str, Tensor]]]


@dataclass(frozen=True)
class BeliefUpdates:
    """Hyper-parameters of the updates of an encoder and of what is decoded.

    Args:
        learning_rate: Adam's step size.
        batch: trials per update.
        updates: per iteration.
        buffer_trials: how many of the latest trials are learned from.
        max_grad_norm: of encoder and decoders together.
    """

    learning_rate: float
    batch: int
    updates: int
    buffer_trials: int
    max_grad_norm: float

    def __post_init__(self) -> None:
        require_positive(**vars(self))


class BeliefLearner:
    """Adam over encoder and decoders, on trials drawn from a buffer.

    Several processes keep the trials of all of them, and share those of an update.

    Args:
        encoder: of beliefs.
        decoders: what the loss needs besides.
        trial_steps: T, of the longest trial.
        updates: how often, on how much, how far.
    """

    def __init__(
        self,
        encoder: BeliefEncoder,
        *decoders: nn.Module,
        trial_steps: int,
        updates: BeliefUpdates,
    ) -> None:
        require_at_least(num_processes(), batch=updates.batch)
        self.encoder, self.updates = encoder, updates
        self.model = nn.ModuleList([encoder, *decoders])
        self.step = GradientStep(
            Adam(self.model.parameters(), lr=updates.learning_rate),
            "the belief's model",
            max_grad_norm=updates.max_grad_norm,
        )
        self.buffer: TrialBuffer[Trajectory] = TrialBuffer(updates.buffer_trials, trial_steps)

    def learned(self) -> Mapping[str, Stateful]:
        """Encoder with decoders, and their optimiser."""
        return {"model": self.model, "model_optimizer": self.step}

    def experience(self) -> Mapping[str, Experience]:
        """The latest trials."""
        return {"buffer": self.buffer}

    def add(self, trials: Trajectory) -> None:
        """Store new trials `[T, B]`; their inputs count for the encoder's standardisation."""
        self.buffer.add(gathered(replace(trials, extras={}), dim=1))
        self.encoder.memory.update_statistics(trials.step)

    def improve(self, loss: Loss) -> Metrics:
        """Return means of the loss's terms and of the gradient norm, and the number of updates."""
        history = []
        share = own_share(self.updates.batch)
        for _ in range(self.updates.updates):
            trials = own_part(self.buffer.sample(self.updates.batch), dim=1)
            losses, terms = loss(trials)
            terms = {name: share * term for name, term in terms.items()}
            history.append(terms | self.step.apply(*(share * x for x in losses)))
        return mean_terms(history, "belief")
