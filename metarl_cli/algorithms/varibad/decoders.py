"""What is predicted from a latent task: rewards and, if wanted, next states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.core.checks import require_choice
from metarl_cli.core.networks import Features, Network
from metarl_cli.core.types import EnvSpec, Observation, Trajectory
from metarl_cli.networks.mlp import MLP, initialised_linear


class TransitionModel:
    """p(r, s' | s, a, m), as VariBAD learns it: rewards and, if they have a weight, next states.

    Args:
        spec: the environment.
        network: encodes states and actions.
        latent_dim: size Z.
        hidden: layer sizes of each decoder, two or more.
        sees: what the reward is decoded from, see `RewardDecoder`.
        reward_likelihood: "gaussian" or "bernoulli", see `negative_log_likelihood`.
        state_weight: of next states beside rewards; 0: they are not decoded.
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: Network,
        latent_dim: int,
        hidden: Sequence[int],
        sees: Literal["transition", "next_state"],
        *,
        reward_likelihood: str,
        state_weight: float,
    ) -> None:
        self.reward_likelihood = reward_likelihood
        self.weights = {"reward": 1.0, "state": state_weight}
        self.reward = RewardDecoder(spec, network, latent_dim, hidden, sees)
        self.state = StateDecoder(spec, network, latent_dim, hidden) if state_weight else None

    @property
    def decoders(self) -> list[RewardDecoder | StateDecoder]:
        """The networks there are."""
        return [self.reward] if self.state is None else [self.reward, self.state]

    def update_statistics(self, steps: Trajectory) -> None:
        """Let transitions `[T, M]` count for their standardisation."""
        for decoder in self.decoders:
            decoder.update_statistics(steps)

    def errors(self, latent: Tensor, steps: Trajectory) -> dict[str, Tensor]:
        """-log p of what is decoded of `[Q, M]` steps from latents `[L, M, Z]`: `[L, Q, M]`."""
        seen = (steps.step.obs, steps.action, steps.next_obs)
        reward = self.reward(latent, *seen)
        errors = {"reward": negative_log_likelihood(reward, steps.reward, self.reward_likelihood)}
        if self.state is not None:
            errors["state"] = self.state.loss(latent, *seen)
        return errors

    def weighted(self, errors: Mapping[str, Tensor]) -> Tensor:
        """Sum up what `errors` has told apart, or what has become of it."""
        return torch.stack([self.weights[name] * x for name, x in errors.items()]).sum(0)

    def expected_reward(
        self, latent: Tensor, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """The reward of transitions, or the chance that it is positive: `[L, Q, M]`."""
        reward = self.reward(latent, obs, action, next_obs)
        return reward.sigmoid() if self.reward_likelihood == "bernoulli" else reward


class PairDecoder(nn.Module):
    """An MLP on every pair of a latent `[L, M, Z]` and a query `[Q, M, F]`: `[L, Q, M, out]`.

    The first layer is a sum of two linear maps, so pairs exist only behind it.
    """

    def __init__(
        self, latent_dim: int, query_dim: int, hidden: Sequence[int], out_dim: int
    ) -> None:
        super().__init__()
        if len(hidden) < 2:
            raise ValueError(f"decoder_hidden: got {list(hidden)}, expected two layers or more")
        self.latent = initialised_linear(latent_dim, hidden[0])
        self.query = initialised_linear(query_dim, hidden[0])
        self.torso = MLP(hidden[1:], "relu", in_dim=hidden[0])
        self.out = initialised_linear(self.torso.out_dim, out_dim)

    def forward(self, latent: Tensor, query: Tensor) -> Tensor:
        """Decode every pair."""
        hidden = self.latent(latent).unsqueeze(1) + self.query(query).unsqueeze(0)
        return self.out(self.torso(torch.relu(hidden)))


class TransitionDecoder(nn.Module):
    """Standardised features of transitions (state, action, next state) `[Q, M, ...]`."""

    def __init__(self, spec: EnvSpec, network: Network) -> None:
        super().__init__()
        self.encode_action = network.encoder(spec.action)
        self.inputs_before = network.inputs(spec.observation, self.encode_action.out_dim)
        self.inputs_after = network.inputs(spec.observation)

    def features_before(self, obs: Observation, action: Tensor) -> Tensor:
        """Features `[Q, M, F]` of states and actions."""
        return self.inputs_before(self._before(obs, action))

    def features_after(self, next_obs: Observation) -> Tensor:
        """Features `[Q, M, F]` of next states."""
        return self.inputs_after(self.inputs_after.encode(next_obs))

    @torch.no_grad()
    def update_statistics(self, steps: Trajectory) -> None:
        """Let transitions `[T, M]` count for their standardisation."""
        active = steps.step.active
        before = self._before(steps.step.obs, steps.action)
        self.inputs_before.update_statistics(before, active)
        self.inputs_after.update_statistics(self.inputs_after.encode(steps.next_obs), active)

    def _before(self, obs: Observation, action: Tensor) -> Features:
        return self.inputs_before.encode(obs, self.encode_action(action))


class RewardDecoder(TransitionDecoder):
    """Predicts the reward of a transition (state, action, next state) in a latent task.

    Args:
        spec: the environment.
        network: encodes states and actions.
        latent_dim: size Z.
        hidden: layer sizes, two or more.
        sees: "transition", or "next_state" alone, where that decides the reward.
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: Network,
        latent_dim: int,
        hidden: Sequence[int],
        sees: Literal["transition", "next_state"],
    ) -> None:
        super().__init__(spec, network)
        require_choice("decoder_sees", sees, ["transition", "next_state"])
        self.sees_all = sees == "transition"
        query_dim = self.inputs_after.out_dim
        query_dim += self.inputs_before.out_dim if self.sees_all else 0
        self.decode = PairDecoder(latent_dim, query_dim, hidden, 1)

    def forward(
        self, latent: Tensor, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """Predict the rewards `[L, Q, M]` of transitions `[Q, M, ...]` from latents `[L, M, Z]`."""
        query = self.features_after(next_obs)
        if self.sees_all:
            query = torch.cat([self.features_before(obs, action), query], -1)
        return self.decode(latent, query).squeeze(-1)


class StateDecoder(TransitionDecoder):
    """Predicts the next state from state and action in a latent task.

    What it predicts is the next observation's features (not their change) standardised by what has
    been seen of them: their units and number do not matter.

    Args:
        spec: the environment; its observations are without images.
        network: encodes states and actions.
        latent_dim: size Z.
        hidden: layer sizes, two or more.
    """

    def __init__(
        self, spec: EnvSpec, network: Network, latent_dim: int, hidden: Sequence[int]
    ) -> None:
        super().__init__(spec, network)
        if self.inputs_after.image is not None:
            raise ValueError("state_weight: next states are images, which are not decoded; use 0")
        self.decode = PairDecoder(
            latent_dim, self.inputs_before.out_dim, hidden, self.inputs_after.out_dim
        )

    def forward(self, latent: Tensor, obs: Observation, action: Tensor) -> Tensor:
        """Predict standardised next states `[L, Q, M, F]` of `[Q, M, ...]` from `[L, M, Z]`."""
        return self.decode(latent, self.features_before(obs, action))

    def loss(
        self, latent: Tensor, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """Return the squared error `[L, Q, M]`, a mean over the features of the next state."""
        error = self(latent, obs, action) - self.features_after(next_obs)
        return error.square().mean(-1)


def negative_log_likelihood(prediction: Tensor, target: Tensor, likelihood: str) -> Tensor:
    """-log p(target) up to a constant, elementwise.

    "gaussian": squared error, as VariBAD's code has it (a variance of one half). "bernoulli": the
    prediction is the logit of the target being positive.
    """
    if likelihood == "gaussian":
        return (prediction - target).square()
    positive = (target > 0).to(prediction.dtype).expand_as(prediction)
    return functional.binary_cross_entropy_with_logits(prediction, positive, reduction="none")
