"""The policy that is adapted: observation in, action distribution out."""

from __future__ import annotations

from torch import nn

from metarl_cli.core.networks import Network
from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.functional.distributions import Distribution


class Policy(nn.Module):
    """Encoder, torso and head."""

    def __init__(self, spec: EnvSpec, network: Network, *, initial_std: float) -> None:
        super().__init__()
        self.encoder = network.encoder(spec.observation)
        self.torso = network.torso(self.encoder.out_dim)
        self.head = network.head(spec.action, self.torso.out_dim, initial_std, gain=1.0)

    def forward(self, obs: Observation) -> Distribution:
        """Return the action distribution: batch shape is that of `obs`."""
        return self.head(self.torso(self.encoder(obs)))
