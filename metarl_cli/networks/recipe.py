"""What `network=` chooses: the one place where algorithms get their networks from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from gymnasium.spaces import Box, Space

from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import UNDECIDED, Head, Memory, Precision, Torso
from metarl_cli.networks.encoders import Encoder, TaskScale, build_encoder
from metarl_cli.networks.heads import build_head
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.mlp import MLP


@dataclass(frozen=True)
class Recipe:
    """Builds the parts of networks; see `core.networks.Network`.

    Args:
        build: makes a torso or a memory; called with `in_dim=`.
    """

    build: Callable[..., Any]

    def torso(self, in_dim: int) -> Torso:
        """Build a torso and refuse one with memory."""
        return cast(Torso, self._of_kind("feed-forward", "a feed-forward one", in_dim))

    def memory(self, in_dim: int) -> Memory:
        """Build a torso and refuse one without memory."""
        return cast(
            Memory, self._of_kind("memory", "one with memory (gru, lstm, transformer)", in_dim)
        )

    def feed_forward(
        self, hidden: Sequence[int], activation: Literal["tanh", "relu"] = "tanh"
    ) -> Recipe:
        """Return the recipe of an MLP with these hidden layers."""
        return Recipe(functools.partial(MLP, hidden, activation))

    def head(
        self,
        space: Space[Any],
        in_dim: int,
        initial_std: float,
        *,
        gain: float = UNDECIDED,
        bounded_mean: bool = False,
    ) -> Head:
        """Choose the policy head of an action space."""
        return build_head(space, in_dim, initial_std, gain, bounded_mean=bounded_mean)

    def encoder(self, space: Space[Any]) -> Encoder:
        """Choose the encoder of a space without images."""
        return build_encoder(space)

    def task_encoder(self, space: Box) -> Encoder:
        """Scale the parameters of tasks."""
        return TaskScale(space)

    def inputs(
        self, space: Space[Any], extra_dim: int = 0, precision: Precision = "float32"
    ) -> Inputs:
        """Build the inputs for an observation space."""
        return Inputs(space, extra_dim, precision)

    def _of_kind(self, kind: str, wanted: str, in_dim: int) -> Any:
        built = self.build(in_dim=in_dim)
        if built.kind != kind:
            raise UserError(f"network: this algorithm needs {wanted}, got {built.kind}")
        return built
