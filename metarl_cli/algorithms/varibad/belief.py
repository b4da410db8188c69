"""An agent that acts on a belief about the hidden task: a Gaussian over a latent.

The encoder of the belief is trained elsewhere (VariBAD: to predict rewards; task inference: to tell
the task): no policy gradient reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from metarl_cli.core.checks import require_positive
from metarl_cli.core.networks import Network, State
from metarl_cli.core.protocols import Metrics, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.functional.returns import trial_gae
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.actor_critic import ActorCritic
from metarl_cli.networks.mlp import initialised_linear
from metarl_cli.networks.step_memory import StepMemory

LOG_STD_RANGE = (-10.0, 2.0)
LATENTS = 32  # drawn from a belief to average over what is decoded from it
BELIEF = "belief"  # where a trajectory keeps what the policy saw of the belief, [T, B, 2 Z]


class BeliefEncoder(nn.Module):
    """A memory with a Gaussian head, q(z | trial so far): step form and sequence form."""

    def __init__(self, spec: EnvSpec, network: Network, latent_dim: int) -> None:
        super().__init__()
        require_positive(latent_dim=latent_dim)
        self.memory = StepMemory(spec, network)
        self.head = initialised_linear(self.memory.out_dim, 2 * latent_dim)

    def step(self, step: TimeStep, state: State) -> tuple[DiagonalGaussian, State]:
        """Take in one step `[B]`; return the belief `[B, Z]` and the memory after it."""
        features, state = self.memory.step(step, state)
        return self._belief(features), state

    def sequence(self, step: TimeStep) -> DiagonalGaussian:
        """Return the belief `[T, B, Z]` after each step of whole trials `[T, B]`."""
        return self._belief(self.memory.sequence(step))

    def _belief(self, features: Tensor) -> DiagonalGaussian:
        mean, log_std = self.head(features).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_std.clamp(*LOG_STD_RANGE))


class BeliefAgent:
    """Encoder and policy; what an agent remembers is the encoder's memory.

    Args:
        spec: the environment.
        network: builds the encoder's torso, with memory.
        latent_dim: size Z of the belief.
        policy_hidden: layer sizes of policy and critic.
        initial_std: of continuous actions.
        bounded_mean: whether means of continuous actions stay in [-1, 1].
        ppo: the learner.
    """

    def __init__(
        self,
        spec: EnvSpec,
        network: Network,
        *,
        latent_dim: int,
        policy_hidden: Sequence[int],
        initial_std: float,
        ppo: PPO,
        bounded_mean: bool = False,
    ) -> None:
        self.ppo = ppo
        self.encoder = BeliefEncoder(spec, network, latent_dim)
        self.policy = ActorCritic(
            spec,
            network.feed_forward(policy_hidden),
            initial_std=initial_std,
            context=BELIEF,
            context_dim=2 * latent_dim,
            bounded_mean=bounded_mean,
        )
        self.optimizer = ppo.gradient_step(self.policy)

    def learned(self) -> Mapping[str, Stateful]:
        """Policy with critic and their optimiser; the encoder belongs to who trains it."""
        return {"policy": self.policy, "policy_optimizer": self.optimizer}

    def initial_state(self, num: int) -> State:
        """Return the memory of `num` agents at the start of a trial."""
        return self.encoder.memory.initial_state(num)

    @torch.no_grad()
    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Update the belief and act on it."""
        belief, state = self.encoder.step(step, state)
        seen = torch.cat([belief.mean, belief.log_std], -1)
        distribution = self.policy.distribution(self.policy.features(step.obs, seen))
        action = distribution.sample() if explore else distribution.mode()
        return Output(action, state, {BELIEF: seen})

    def improve(self, trials: Trajectory) -> Metrics:
        """One PPO update of policy and critic; the episodes of a trial are one to the critic."""
        old = self.ppo.assess(self.policy, trials)
        advantage = trial_gae(
            trials.reward, old.value, trials.step.active, self.ppo.discount, self.ppo.gae_lambda
        )
        return self.ppo.update(self.policy, self.optimizer, trials, old, advantage)


def belief_of(trial: Trajectory) -> DiagonalGaussian:
    """The belief on which each step of a trial `[T, B]` was taken, `[T, B, Z]`.

    It knows of the steps before, also of the last reward of the episode before.
    """
    mean, log_std = trial.extras[BELIEF].chunk(2, dim=-1)
    return DiagonalGaussian(mean, log_std)
