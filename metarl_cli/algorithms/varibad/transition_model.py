"""A model of transitions in a latent task, as VariBAD learns it: p(r, s' | s, a, m)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from metarl_cli.algorithms.varibad.decoders import RewardDecoder, StateDecoder
from metarl_cli.algorithms.varibad.elbo import negative_log_likelihood
from metarl_cli.core.types import EnvSpec, Observation

Transitions = Mapping[str, Any]  # obs, action, next_obs, reward: `[Q, M, ...]`


class TransitionModel:
    """Decodes rewards and, if they have a weight, next states.

    Args:
        spec: the environment.
        latent_dim: size Z.
        hidden: layer sizes of each decoder, two or more.
        sees: what the reward is decoded from, see `RewardDecoder`.
        reward_likelihood: "gaussian" or "bernoulli", see `negative_log_likelihood`.
        state_weight: of next states beside rewards; 0: they are not decoded.
    """

    def __init__(
        self,
        spec: EnvSpec,
        latent_dim: int,
        hidden: Sequence[int],
        sees: Literal["transition", "next_state"],
        *,
        reward_likelihood: str,
        state_weight: float,
    ) -> None:
        self.reward_likelihood = reward_likelihood
        self.weights = {"reward": 1.0, "state": state_weight}
        self.reward = RewardDecoder(spec, latent_dim, hidden, sees)
        self.state = StateDecoder(spec, latent_dim, hidden) if state_weight else None

    @property
    def decoders(self) -> list[RewardDecoder | StateDecoder]:
        """The networks there are."""
        return [self.reward] if self.state is None else [self.reward, self.state]

    def take_statistics(self, transitions: Transitions, active: Tensor) -> None:
        """Update the standardisation of transitions `[T, M, ...]` where `active` is 1."""
        obs, action, next_obs = (transitions[key] for key in ("obs", "action", "next_obs"))
        for decoder in self.decoders:
            decoder.take_statistics(obs, action, next_obs, active)

    def errors(self, latent: Tensor, transitions: Transitions) -> dict[str, Tensor]:
        """-log p of what is decoded, up to constants, from latents `[L, M, Z]`: `[L, Q, M]`."""
        seen = [transitions[key] for key in ("obs", "action", "next_obs")]
        reward, likelihood = transitions["reward"], self.reward_likelihood
        errors = {"reward": negative_log_likelihood(self.reward(latent, *seen), reward, likelihood)}
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
