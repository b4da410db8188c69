"""A policy that acts on a latent task, from the task itself or from what was seen of the trial."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl_cli.core import tree
from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.core.types import EnvSpec, TimeStep
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.networks.encoders import Features, TaskScale
from metarl_cli.networks.inputs import Inputs
from metarl_cli.networks.memory import State
from metarl_cli.networks.mlp import MLP, initialised_linear
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.policies import UNDECIDED, TorsoFactory, build_head
from metarl_cli.networks.recurrent import TimeStepEncoder, with_memory

FEATURES, TASK, INFORMED = "features", "task", "informed"
InformedFeatures = dict[str, Features]


class InformedActorCritic(nn.Module):
    """Shared heads on (step, z): z of the task for informed trials, z of the history for others.

    Both z are bounded by tanh: without, those of different tasks drift apart without end, and the
    heads never learn what lies between them, where the history that does not know yet has its z.
    The auxiliary loss draws the history's z to the task's (Kamienny et al. 2020, arXiv:2005.02934).
    """

    recurrent = True

    def __init__(
        self,
        spec: EnvSpec,
        network: TorsoFactory,
        *,
        latent_dim: int,
        distance_weight: float,
        policy_hidden: Sequence[int],
        initial_std: float,
    ) -> None:
        super().__init__()
        require_positive(latent_dim=latent_dim)
        require_not_negative(distance_weight=distance_weight)
        self.distance_weight = distance_weight
        self.scale = TaskScale(spec.task)
        self.encoder = TimeStepEncoder(spec)
        self.inputs = Inputs(self.encoder.out_dim, self.encoder.image)
        self.memory = with_memory(network, self.inputs.out_dim)
        self.of_history = initialised_linear(self.memory.out_dim, latent_dim)
        self.of_task = nn.Sequential(
            MLP(policy_hidden[:1], "tanh", in_dim=spec.task.shape[0]),
            initialised_linear(policy_hidden[0], latent_dim),
        )
        self.torso = MLP(policy_hidden, "tanh", in_dim=self.inputs.out_dim + latent_dim)
        self.head = build_head(spec.action, self.torso.out_dim, initial_std, UNDECIDED)
        self.critic_head = initialised_linear(self.torso.out_dim, 1)
        self.returns = Normalizer(1, clip=float("inf"))

    def features(self, step: TimeStep, informed: Tensor) -> InformedFeatures:
        """Raw inputs of steps `[..., B]`, of which rows `informed` `[B]` are told the task."""
        mask = informed.expand_as(step.first).unsqueeze(-1)
        return {FEATURES: self.encoder(step), TASK: step.task, INFORMED: mask}

    def observe(self, features: InformedFeatures, mask: Tensor) -> None:
        """Update the standardisation of inputs."""
        self.inputs.update(features[FEATURES], mask)

    def step(self, step: TimeStep, state: State, informed: Tensor) -> tuple[Distribution, State]:
        """Take in one step `[B]`; return the action distribution and the memory after it."""
        features = self.features(step, informed)
        inputs = self.inputs(features[FEATURES])
        remembered, state = self.memory.step(inputs, state, step.active)
        latent, _ = self._latents(remembered, features)
        return self.head(self.torso(torch.cat([inputs, latent], -1))), state

    def evaluate(
        self, features: InformedFeatures, active: Tensor
    ) -> tuple[Distribution, Tensor, Tensor]:
        """Action distribution and value `[1, M, T]` of trials, and the auxiliary loss."""
        time_first = tree.tree_map(lambda x: x[0].transpose(0, 1), features)
        inputs = self.inputs(time_first[FEATURES])
        active = active[0].transpose(0, 1)
        latent, distance = self._latents(self.memory.sequence(inputs, active), time_first)
        hidden = self.torso(torch.cat([inputs, latent], -1)).transpose(0, 1).unsqueeze(0)
        distribution, value = self.head(hidden), self.critic_head(hidden).squeeze(-1)
        return distribution, value, self.distance_weight * masked_mean(distance, active)

    def _latents(self, remembered: Tensor, features: InformedFeatures) -> tuple[Tensor, Tensor]:
        """The z to act on `[..., Z]`, and the squared distance of the two z `[...]`."""
        task, informed = features[TASK], features[INFORMED]
        assert isinstance(task, Tensor) and isinstance(informed, Tensor)
        of_history = torch.tanh(self.of_history(remembered))
        of_task = torch.tanh(self.of_task(self.scale(task)))
        distance = (of_history - of_task.detach()).square().sum(-1)
        return torch.where(informed > 0, of_task, of_history), distance
