"""Action distributions as plain values: parameters `[..., A]` in, log-probabilities `[...]` out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from metarl_cli.core.distributed import noise_like

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Distribution(ABC):
    """What policies return."""

    @abstractmethod
    def sample(self, of: int | None = None) -> Tensor:
        """Draw actions; `of` as in `core.distributed.noise_like`."""

    @abstractmethod
    def mode(self) -> Tensor:
        """Most likely actions."""

    @abstractmethod
    def log_prob(self, action: Tensor) -> Tensor:
        """Log-probability or log-density `[...]`."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """Entropy in nats, broadcastable to `[...]`."""

    @abstractmethod
    def kl(self, other: Self) -> Tensor:
        """KL(self || other) `[...]`."""

    @abstractmethod
    def fisher(self) -> Tensor:
        """Fisher information of what the last layer puts out: `[..., K, K]`."""

    @abstractmethod
    def detach(self) -> Self:
        """The same distribution, constant for differentiation."""


@dataclass
class DiagonalGaussian(Distribution):
    """Independent normals; `log_std` may be broadcast over leading dimensions."""

    mean: Tensor  # [..., A]
    log_std: Tensor

    def sample(self, of: int | None = None) -> Tensor:
        """Draw actions `[..., A]`; `of` as in `core.distributed.noise_like`."""
        return torch.addcmul(self.mean, self.log_std.exp(), normal_like(self.mean, of))

    def mode(self) -> Tensor:
        """Most likely actions `[..., A]`."""
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-density summed over action dimensions `[...]`."""
        z = (action - self.mean) * (-self.log_std).exp()
        return -0.5 * z.square().sum(-1) - (self.log_std + LOG_SQRT_2PI).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy, broadcastable to `[...]`."""
        return (self.log_std + 0.5 + LOG_SQRT_2PI).sum(-1)

    def kl(self, other: Self) -> Tensor:
        """KL(self || other) `[...]`."""
        ratio = (2 * (self.log_std - other.log_std)).exp()
        shift = (self.mean - other.mean).square() * (-2 * other.log_std).exp()
        return (other.log_std - self.log_std + 0.5 * (ratio + shift - 1)).sum(-1)

    def fisher(self) -> Tensor:
        """Of the mean: 1 / variance on the diagonal `[..., A, A]`."""
        return torch.diag_embed((-2 * self.log_std).exp().expand_as(self.mean))

    def detach(self) -> Self:
        """The same distribution, constant for differentiation."""
        return type(self)(self.mean.detach(), self.log_std.detach())


@dataclass
class SquashedGaussian:
    """tanh of independent normals: actions in (-1, 1).

    Haarnoja et al. 2018 (arXiv:1801.01290), appendix C.
    """

    mean: Tensor  # [..., A], before tanh
    log_std: Tensor

    def sample(self, of: int | None = None) -> tuple[Tensor, Tensor]:
        """Draw actions `[..., A]`, differentiable, with their log-densities `[...]`.

        Args:
            of: as in `core.distributed.noise_like`.
        """
        noise = normal_like(self.mean, of)
        x = torch.addcmul(self.mean, self.log_std.exp(), noise)
        # log(1 - tanh(x)^2), which does not round to log 0
        log_slope = 2 * (math.log(2.0) - x - functional.softplus(-2 * x))
        log_density = -0.5 * noise.square() - self.log_std - LOG_SQRT_2PI
        return torch.tanh(x), (log_density - log_slope).sum(-1)

    def mode(self) -> Tensor:
        """The action of the mean `[..., A]`."""
        return torch.tanh(self.mean)


@dataclass
class Categorical(Distribution):
    """Discrete actions with normalised log-probabilities `[..., A]`."""

    log_probs: Tensor

    @classmethod
    def from_logits(cls, logits: Tensor) -> Categorical:
        """Normalise `logits` `[..., A]`."""
        return cls(logits.log_softmax(-1))

    def sample(self, of: int | None = None) -> Tensor:
        """Draw actions `[...]` int64 (Gumbel-max); `of` as in `core.distributed.noise_like`."""
        noise = noise_like(self.log_probs, Tensor.exponential_, of).log()
        return (self.log_probs - noise).argmax(-1)

    def mode(self) -> Tensor:
        """Most likely actions `[...]`."""
        return self.log_probs.argmax(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-probability of `action` `[...]`."""
        return self.log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Shannon entropy in nats `[...]`."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)

    def kl(self, other: Self) -> Tensor:
        """KL(self || other) `[...]`."""
        return (self.log_probs.exp() * (self.log_probs - other.log_probs)).sum(-1)

    def fisher(self) -> Tensor:
        """Of the logits: diag(p) - p p^T `[..., A, A]`."""
        p = self.log_probs.exp()
        return torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)

    def detach(self) -> Self:
        """The same distribution, constant for differentiation."""
        return type(self)(self.log_probs.detach())


def normal_like(x: Tensor, of: int | None = None) -> Tensor:
    """Draw from N(0, 1) in the shape of `x`; `of` as in `core.distributed.noise_like`."""
    return noise_like(x, Tensor.normal_, of)
