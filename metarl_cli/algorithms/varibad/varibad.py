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

from metarl_cli.algorithms.varibad.belief_learner import BeliefLearner
from metarl_cli.algorithms.varibad.belief_ppo import LATENTS, BeliefPPO, belief_of
from metarl_cli.algorithms.varibad.elbo import sequential_kl
from metarl_cli.algorithms.varibad.transition_model import TransitionModel
from metarl_cli.buffers.trials import Record, as_record, steps_of
from metarl_cli.core import tree
from metarl_cli.core.checks import require_choice, require_not_negative, require_positive
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Observation, Output, TimeStep, Trajectory
from metarl_cli.learners.ppo import PPO
from metarl_cli.networks.memory import State
from metarl_cli.networks.policies import TorsoFactory
from metarl_cli.rollouts.trials import run_training_trials


@dataclass(frozen=True)
class Elbo:
    """Hyper-parameters of the encoder's loss and of its updates.

    Args:
        learning_rate: Adam's step size for encoder and decoders.
        batch: trials per update.
        updates: per iteration.
        buffer_trials: how many of the latest trials are learned from.
        kl_weight: of the KL divergence between successive beliefs.
        reward_likelihood: "gaussian", or "bernoulli" for the chance that a reward is positive.
        from_steps: at most so many steps of a trial from which the whole trial is decoded.
        decoded_steps: at most so many transitions decoded from each of them.
        max_grad_norm: of encoder and decoders together.
        state_weight: of the squared error of next states; 0 or None: they are not decoded.
        warmup_steps: environment steps before the policy learns too; None: 0.
    """

    learning_rate: float
    batch: int
    updates: int
    buffer_trials: int
    kl_weight: float
    reward_likelihood: Literal["gaussian", "bernoulli"]
    from_steps: int
    decoded_steps: int
    max_grad_norm: float
    state_weight: float | None = None
    warmup_steps: int | None = None

    def __post_init__(self) -> None:
        require_choice("reward_likelihood", self.reward_likelihood, ["gaussian", "bernoulli"])
        require_positive(
            learning_rate=self.learning_rate,
            max_grad_norm=self.max_grad_norm,
            batch=self.batch,
            updates=self.updates,
            buffer_trials=self.buffer_trials,
        )
        require_positive(from_steps=self.from_steps, decoded_steps=self.decoded_steps)
        require_not_negative(
            kl_weight=self.kl_weight,
            state_weight=self.state_weight or 0.0,
            warmup_steps=self.warmup_steps or 0,
        )


class VariBAD:
    """PPO on beliefs, and a variational encoder with a buffer of its own."""

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
        bounded_mean: bool | None = None,
        *,
        spec: EnvSpec,
        network: TorsoFactory,
    ) -> None:
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.elbo = elbo
        self.agent = BeliefPPO(
            spec,
            network,
            latent_dim=latent_dim,
            policy_hidden=policy_hidden,
            initial_std=initial_std,
            ppo=ppo,
            bounded_mean=bool(bounded_mean),
        )
        self.model = TransitionModel(
            spec,
            latent_dim,
            decoder_hidden,
            decoder_sees,
            reward_likelihood=elbo.reward_likelihood,
            state_weight=elbo.state_weight or 0.0,
        )
        self.learner = BeliefLearner(
            self.agent.encoder,
            *self.model.decoders,
            trial_steps=episodes * spec.horizon,
            buffer_trials=elbo.buffer_trials,
            learning_rate=elbo.learning_rate,
            batch=elbo.batch,
            updates=elbo.updates,
            max_grad_norm=elbo.max_grad_norm,
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
        trials, metrics = run_training_trials(self, sampler, self.episodes)
        return metrics | self.learn_from(trials, trials.reward, sampler.env_steps)

    def learn_from(self, trials: Trajectory, reward: Tensor, env_steps: int) -> Metrics:
        """Improve the model on new trials `[T, B]` and, after warm-up, the policy with `reward`."""
        self.learner.add(trials)
        self.model.take_statistics(as_record(trials), trials.step.active)
        metrics: Metrics = {}
        if env_steps > (self.elbo.warmup_steps or 0):
            metrics = self.agent.improve(replace(trials, reward=reward))
        return metrics | self.learner.improve(self._negative_elbo)

    def _negative_elbo(self, trials: Record) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction and KL terms (Equation 8), sums over time, means over trials.

        From the beliefs after L steps, Q transitions anywhere in the trial are decoded.
        """
        steps = steps_of(trials)
        belief = self.agent.encoder.sequence(steps)  # [T, M, Z]
        now = some_of(len(steps.active), self.elbo.from_steps)
        decoded = some_of(len(steps.active), self.elbo.decoded_steps)
        target = tree.index(trials, decoded)
        both_active = steps.active[now].unsqueeze(1) * target["active"]  # [L, Q, M]
        errors = self.model.errors(belief.sample()[now], target)
        losses = {name: (x * both_active).sum((0, 1)).mean() for name, x in errors.items()}
        kl = sequential_kl(belief, steps.active)[now].sum(0).mean()
        terms = {f"belief/{name}_loss": loss for name, loss in losses.items()} | {"belief/kl": kl}
        return self.model.weighted(losses) + self.elbo.kl_weight * kl, terms


def some_of(num: int, most: int) -> Tensor | slice:
    """Draw at most `most` of `num` steps; all of them if there are no more."""
    return slice(None) if num <= most else torch.randperm(num)[:most]
