"""VariBAD: act on a learned belief about the task.

Zintgraf et al. 2020 (arXiv:1910.08348). A variational encoder keeps a belief over a latent task; at
every step of the trial the decoders must predict the rewards of the whole trial, past and future,
from it, and the next states where dynamics differ (section 3.1). The policy sees the state and the
belief; its gradient does not reach the encoder (section 3.3).

Differences from the paper:
- The loss is a mean over trials and a sum over time; in the code of the paper the KL term is summed
  over the batch. `kl_weight` here is theirs times their batch size.
- At the start of an inner episode the agent sees the reset state and the reward before it; theirs
  sees the terminal state and a flag.
- State and belief enter the policy side by side, without embedding layers of their own.
- Next states, where decoded, are standardised. Their code decodes states instead of rewards, in
  the one environment with random dynamics; here rewards are always decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from metarl_cli.algorithms.varibad.belief import LATENTS, BeliefAgent, belief_of
from metarl_cli.algorithms.varibad.belief_learner import BeliefLearner, BeliefUpdates
from metarl_cli.algorithms.varibad.decoders import TransitionModel
from metarl_cli.core import tree
from metarl_cli.core.checks import require_choice, require_not_negative, require_positive
from metarl_cli.core.networks import Network, State
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful, mean_returns
from metarl_cli.core.types import EnvSpec, Observation, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import DiagonalGaussian
from metarl_cli.learners.ppo import PPO


@dataclass(frozen=True)
class Elbo:
    """Hyper-parameters of the encoder's loss.

    Args:
        learner: how encoder and decoders are updated.
        kl_weight: of the KL divergence between successive beliefs.
        reward_likelihood: "gaussian", or "bernoulli" for the chance that a reward is positive.
        from_steps: at most so many steps of a trial from which the whole trial is decoded.
        decoded_steps: at most so many transitions decoded from each of them.
        state_weight: of the squared error of next states; 0: they are not decoded.
        warmup_steps: environment steps before the policy learns too.
    """

    learner: BeliefUpdates
    kl_weight: float
    reward_likelihood: Literal["gaussian", "bernoulli"]
    from_steps: int
    decoded_steps: int
    state_weight: float
    warmup_steps: int

    def __post_init__(self) -> None:
        require_choice("reward_likelihood", self.reward_likelihood, ["gaussian", "bernoulli"])
        require_positive(from_steps=self.from_steps, decoded_steps=self.decoded_steps)
        require_not_negative(
            kl_weight=self.kl_weight,
            state_weight=self.state_weight,
            warmup_steps=self.warmup_steps,
        )


class VariBAD:
    """PPO on beliefs, and a variational encoder with a buffer of its own."""

    shares_tasks = True

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        initial_std: float,
        policy_hidden: Sequence[int],
        decoder_hidden: Sequence[int],
        decoder_sees: Literal["transition", "next_state"],
        latent_dim: int,
        elbo: Elbo,
        ppo: PPO,
        bounded_mean: bool,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.elbo = elbo
        self.agent = BeliefAgent(
            spec,
            network,
            latent_dim=latent_dim,
            policy_hidden=policy_hidden,
            initial_std=initial_std,
            ppo=ppo,
            bounded_mean=bounded_mean,
        )
        self.model = TransitionModel(
            spec,
            network,
            latent_dim,
            decoder_hidden,
            decoder_sees,
            reward_likelihood=elbo.reward_likelihood,
            state_weight=elbo.state_weight,
        )
        self.learner = BeliefLearner(
            self.agent.encoder,
            *self.model.decoders,
            trial_steps=episodes * spec.horizon,
            updates=elbo.learner,
        )

    def learned(self) -> Mapping[str, Stateful]:
        """Policy, encoder with decoders, and their optimisers."""
        return {**self.agent.learned(), **self.learner.learned()}

    def experience(self) -> Mapping[str, Experience]:
        """The encoder's trials."""
        return self.learner.experience()

    def initial_state(self, num_tasks: int, envs_per_task: int) -> State:
        """An empty memory for each environment."""
        return self.agent.initial_state(num_tasks * envs_per_task)

    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Update the belief and act on it."""
        return self.agent.act(state, step, explore=explore)

    def adapt(self, state: State, episode: Trajectory) -> State:
        """Nothing to do: the belief has adapted while acting."""
        return state

    @torch.no_grad()
    def predicted_reward(
        self, trial: Trajectory, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """E_q of the reward of transitions `[Q, ...]`, or of its chance, before each step."""
        belief = belief_of(trial)  # [T, B, Z]
        queries = tree.tree_map(lambda x: x.unsqueeze(1), (obs, action, next_obs))  # [Q, 1, ...]
        latents = [belief.sample().flatten(0, 1).unsqueeze(1) for _ in range(LATENTS)]
        rewards = [self.model.expected_reward(z, *queries).squeeze(-1) for z in latents]  # [TB, Q]
        return torch.stack(rewards).mean(0).unflatten(0, belief.mean.shape[:2])

    def train_step(self, sampler: Sampler) -> Metrics:
        """One PPO update on new trials, then encoder updates on the latest ones."""
        start = sampler.begin(self, sampler.sample_tasks())
        trials, _ = sampler.run(self, start, episodes=self.episodes)
        return mean_returns(trials) | self.learn_from(trials, trials.reward, sampler.env_steps)

    def learn_from(self, trials: Trajectory, reward: Tensor, env_steps: int) -> Metrics:
        """Improve the model on new trials `[T, B]` and, after warm-up, the policy with `reward`."""
        self.learner.add(trials)
        self.model.update_statistics(trials)
        metrics: Metrics = {}
        if env_steps > self.elbo.warmup_steps:
            metrics = self.agent.improve(replace(trials, reward=reward))
        return metrics | self.learner.improve(self.negative_elbo)

    def negative_elbo(self, trials: Trajectory) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Reconstruction and KL terms (Equation 8), sums over time, means over trials `[T, M]`.

        From the beliefs after L steps, Q transitions anywhere in the trial are decoded.

        Returns:
            What is to be minimised, a sum, and its terms without their weights.
        """
        active = trials.step.active
        belief = self.agent.encoder.sequence(trials.step)  # [T, M, Z]
        now = some_of(len(active), self.elbo.from_steps)
        decoded = some_of(len(active), self.elbo.decoded_steps)
        target = tree.index(trials, decoded)
        both_active = active[now].unsqueeze(1) * target.step.active  # [L, Q, M]
        latent = belief.sample(of=self.elbo.learner.batch)
        errors = self.model.errors(latent[now], target)
        errors = {name: (x * both_active).sum((0, 1)).mean() for name, x in errors.items()}
        kl = sequential_kl(belief, active)[now].sum(0).mean()
        terms = {f"{name}_loss": error for name, error in errors.items()} | {"kl": kl}
        return [self.model.weighted(errors), self.elbo.kl_weight * kl], terms


def sequential_kl(belief: DiagonalGaussian, active: Tensor) -> Tensor:
    """KL of each belief from the one before it, the first from N(0, 1): `[T, ...]`.

    Equation 7: yesterday's posterior is today's prior.

    Args:
        belief: `[T, ..., Z]`.
        active: `[T, ...]`; a belief that is not active is skipped over.
    """
    prior = DiagonalGaussian(torch.zeros_like(belief.mean[:1]), torch.zeros_like(belief.mean[:1]))
    steps = torch.arange(len(active), device=active.device).view(-1, *[1] * (active.dim() - 1))
    last_active = torch.where(active > 0, steps, -1).cummax(0).values  # [T, ...]
    before = torch.cat([torch.full_like(last_active[:1], -1), last_active[:-1]]) + 1

    def previous(first: Tensor, values: Tensor) -> Tensor:
        index = before.unsqueeze(-1).expand_as(values)
        return torch.cat([first, values]).gather(0, index)

    earlier = DiagonalGaussian(
        previous(prior.mean, belief.mean), previous(prior.log_std, belief.log_std)
    )
    return belief.kl(earlier) * active


def some_of(num: int, most: int) -> Tensor | slice:
    """Draw at most `most` of `num` steps; all of them if there are no more."""
    return slice(None) if num <= most else torch.randperm(num)[:most]
