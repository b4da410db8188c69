"""Policy and value on what has been seen of a trial."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.errors import UserError
from metarl_cli.core.types import EnvSpec, TimeStep
from metarl_cli.functional.distributions import Distribution
from metarl_cli.networks.encoders import Features, ObservationEncoder, build_encoder
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.memory import Memory, State
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.policies import UNDECIDED, TorsoFactory, build_head


class TimeStepEncoder(nn.Module):
    """Observation, previous action, previous reward, and whether an episode begins.

    Duan et al. 2016 (arXiv:1611.02779), section 2.2.
    """

    def __init__(self, spec: EnvSpec) -> None:
        super().__init__()
        self.action = build_encoder(spec.action)
        self.observation = ObservationEncoder(spec.observation, self.action.out_dim + 2)
        self.out_dim, self.image = self.observation.out_dim, self.observation.image

    def forward(self, step: TimeStep) -> Features:
        """Encode steps of any leading shape."""
        signals = torch.stack([step.prev_reward, step.first], -1)
        return self.observation(step.obs, self.action(step.prev_action), signals)


class RecurrentActorCritic(nn.Module):
    """One memory, and two linear heads on it.

    Sharing the memory halves the work. Like in `ActorCritic` the critic regresses standardised
    returns.
    """

    recurrent = True

    def __init__(self, spec: EnvSpec, network: TorsoFactory, *, initial_std: float) -> None:
        super().__init__()
        self.encoder = TimeStepEncoder(spec)
        self.inputs = Inputs(self.encoder.out_dim, self.encoder.image)
        self.memory = with_memory(network, self.inputs.out_dim)
        self.head = build_head(spec.action, self.memory.out_dim, initial_std, UNDECIDED)
        self.critic_head = initialised_linear(self.memory.out_dim, 1)
        self.returns = Normalizer(1, clip=float("inf"))

    def step(self, step: TimeStep, state: State) -> tuple[Distribution, State]:
        """Take in one step `[B]`; return the action distribution and the memory after it."""
        features, state = self.memory.step(self.inputs(self.encoder(step)), state, step.active)
        return self.head(features), state

    def observe(self, features: Features, mask: Tensor) -> None:
        """Update the standardisation of inputs."""
        self.inputs.update(features, mask)

    def evaluate(self, features: Features, active: Tensor) -> tuple[Distribution, Tensor, None]:
        """Action distribution and standardised value of trials `[1, M, T, F]`; no other loss."""
        time_first = tree.tree_map(lambda x: x[0].transpose(0, 1), (features, active))
        remembered = self.memory.sequence(self.inputs(time_first[0]), time_first[1])
        remembered = remembered.transpose(0, 1).unsqueeze(0)
        value = self.critic_head(remembered).squeeze(-1)
        return self.head(remembered), value, None


def with_memory(network: TorsoFactory, in_dim: int) -> Memory:
    """Build a torso and refuse one without memory."""
    torso = network(in_dim=in_dim)
    if not isinstance(torso, Memory):
        raise UserError(
            "network: this algorithm needs one with memory (gru, lstm, transformer), "
            f"got {torso.kind}"
        )
    return torso
