"""The roles of networks: all that an algorithm relies on, whichever network was chosen.

What fills them stands in `networks/`. Each is an `nn.Module`, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from gymnasium.spaces import Box, Space
from torch import Tensor

from metarl_cli.core.types import Observation

# Gain of the last layer of a policy that at first acts alike everywhere, and so explores evenly:
# Andrychowicz et al. 2021 (arXiv:2006.05990), section 3.2
UNDECIDED = 0.01

Precision = Literal["float32", "bfloat16"]
# What networks take: `[..., F]`, or with an image {"vector": [..., F], "image": [..., H, W, C]}
Features = Tensor | dict[str, Tensor]
State = Any  # of a memory: a tensor `[B, ...]` or a tree of them


class Encoder(Protocol):
    """Maps values of a space to flat floats; it has no parameters."""

    out_dim: int

    def __call__(self, x: Any) -> Tensor:
        """Return `[..., out_dim]`."""


class Inputs(Protocol):
    """Maps observations to what trunks take: encoded, standardised, images looked at."""

    out_dim: int
    image: Box | None  # the space of the image, if there is one

    def encode(self, obs: Observation, *extras: Tensor) -> Features:
        """Encode observations `[...]` and append vectors `[..., K]`; nothing is learned here."""

    def update_statistics(self, x: Features, mask: Tensor) -> None:
        """Let features `[..., F]` count for the standardisation where `mask` `[...]` is 1."""

    def __call__(self, x: Features) -> Tensor:
        """Return `[..., out_dim]`."""


class Torso(Protocol):
    """Maps features to features, without memory."""

    out_dim: int

    def __call__(self, x: Tensor) -> Tensor:
        """Return `[..., out_dim]`."""


class Memory(Protocol):
    """Maps features and what it remembers of earlier ones to features."""

    out_dim: int

    def initial_state(self, num: int) -> State:
        """Return the empty memory of `num` trials."""

    def step(self, x: Tensor, state: State, active: Tensor) -> tuple[Tensor, State]:
        """Take in one step `[B, F]`; where `active` `[B]` is 0 nothing is remembered."""

    def sequence(self, x: Tensor, active: Tensor) -> Tensor:
        """Take in whole trials `[T, B, F]` from empty memory; features `[T, B, out_dim]`."""


class Head(Protocol):
    """Maps features to a distribution of actions."""

    def __call__(self, features: Tensor) -> Any:
        """Return the distribution for features `[..., F]`."""


class Network(Protocol):
    """Builds networks of the chosen kind; heads are added by who uses them."""

    def torso(self, in_dim: int) -> Torso:
        """Build one without memory; a UserError if the chosen kind has one."""

    def memory(self, in_dim: int) -> Memory:
        """Build one with memory; a UserError if the chosen kind has none."""

    def feed_forward(
        self, hidden: Sequence[int], activation: Literal["tanh", "relu"] = "tanh"
    ) -> Network:
        """Return what builds torsos with these layers beside the chosen kind."""

    def head(
        self,
        space: Space[Any],
        in_dim: int,
        initial_std: float,
        *,
        gain: float = UNDECIDED,
        bounded_mean: bool = False,
    ) -> Head:
        """Build the policy head of an action space.

        Args:
            space: of actions.
            in_dim: size of the features.
            initial_std: of continuous actions.
            gain: of its initial weights.
            bounded_mean: whether means of continuous actions stay in [-1, 1].
        """

    def encoder(self, space: Space[Any]) -> Encoder:
        """Build the encoder of a space without images."""

    def task_encoder(self, space: Box) -> Encoder:
        """Build what maps task parameters `[..., D]` from their bounds to [-1, 1]."""

    def inputs(
        self, space: Space[Any], extra_dim: int = 0, precision: Precision = "float32"
    ) -> Inputs:
        """Build the inputs for an observation space and vectors appended to it.

        Args:
            space: of observations; a Dict may hold one image.
            extra_dim: size of what is appended.
            precision: in which images are looked at.
        """
