"""Trains an encoder of beliefs, together with what is decoded from them, on the latest trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from metarl_cli.algorithms.varibad.belief import BeliefEncoder
from metarl_cli.buffers.trials import Record, TrialBuffer, as_record
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Experience, Metrics, Stateful
from metarl_cli.core.types import Trajectory

# Of trials `[T, M, ...]`: what is minimised, and its terms by name
Loss = Callable[[Record], tuple[Tensor, dict[str, Tensor]]]


class BeliefLearner:
    """Adam over encoder and decoder, on trials drawn from a buffer.

    Args:
        encoder: of beliefs.
        decoders: what the loss needs besides.
        trial_steps: T, of the longest trial.
        buffer_trials: how many of the latest trials are learned from.
        learning_rate: Adam's step size.
        batch: trials per update.
        updates: per call of `improve`.
        max_grad_norm: of encoder and decoder together.
    """

    def __init__(
        self,
        encoder: BeliefEncoder,
        *decoders: nn.Module,
        trial_steps: int,
        buffer_trials: int,
        learning_rate: float,
        batch: int,
        updates: int,
        max_grad_norm: float,
    ) -> None:
        self.batch, self.updates, self.max_grad_norm = batch, updates, max_grad_norm
        self.encoder = encoder
        self.model = nn.ModuleList([encoder, *decoders])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)
        self.buffer = TrialBuffer(buffer_trials, trial_steps)

    def learned(self) -> Mapping[str, Stateful]:
        """Encoder with decoders, and their optimiser."""
        return {"model": self.model, "model_optimizer": self.optimizer}

    def experience(self) -> Mapping[str, Experience]:
        """The latest trials."""
        return {"buffer": self.buffer}

    def add(self, trials: Trajectory) -> None:
        """Store new trials `[T, B]`; their inputs count for the encoder's standardisation."""
        self.buffer.add(as_record(trials))
        self.encoder.take_statistics(trials.step)

    def improve(self, loss: Loss) -> Metrics:
        """Return means of the loss's terms and of the gradient norm, and the number of updates."""
        history = [self._update(loss) for _ in range(self.updates)]
        means = torch.stack([torch.stack(list(terms.values())) for terms in history]).mean(0)
        metrics = dict(zip(history[0], means.tolist(), strict=True))
        return metrics | {"belief/gradient_steps": float(self.updates)}

    def _update(self, loss: Loss) -> dict[str, Tensor]:
        total, terms = loss(self.buffer.sample(self.batch))
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        if not torch.isfinite(norm):
            raise NonFiniteError("the gradient of the belief's model is not finite")
        self.optimizer.step()
        return {name: x.detach() for name, x in terms.items()} | {"belief/grad_norm": norm}
