"""PEARL: off-policy meta-learning with a probabilistic latent context.

Rakelly et al. 2019 (arXiv:1903.08254), Algorithms 1 and 2. An encoder infers a latent task z from a
set of transitions; soft actor-critic learns, from replayed transitions of a fixed set of tasks, a
policy and critics that are told z. The encoder learns to make the critics right. Exploration is
posterior sampling: z is drawn once per episode and acted on as if it were the truth.

Differences from the paper:
- Critics with target critics in place of a separate value network, as in later soft actor-critic.
- All networks take one simultaneous step of one optimiser.
- All tasks of an iteration are met at once, in one batch of environments; the posterior that acts
  there is of this visit alone, its extra episodes included.
- Contexts are drawn with replacement.

Several processes collect in tasks of their own, keep what all of them have seen, and share the
transitions of each task in a gradient step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metarl_cli.algorithms.pearl.context import ContextEncoder, kl_from_prior, posterior
from metarl_cli.algorithms.pearl.context_buffer import ContextBuffer
from metarl_cli.buffers.transitions import TaskReplay, Transitions
from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.core.distributed import gathered, own_part
from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import (
    Experience,
    Metrics,
    Sampler,
    Stateful,
    Trial,
    dense_reward,
)
from metarl_cli.core.types import EnvSpec, Output, Tasks, TimeStep, Trajectory
from metarl_cli.learners.gradient_step import mean_terms
from metarl_cli.learners.sac import SAC, Batch
from metarl_cli.networks.soft_actor_critic import SoftActorCritic


@dataclass
class Belief:
    """What agents know of their tasks."""

    evidence: Tensor  # [B, 2 Z], see ContextEncoder
    z: Tensor  # [B, Z], the task that they take for true in this episode


@dataclass(frozen=True)
class Collection:
    """What is done in each task of an iteration, in this order.

    Args:
        prior_episodes: with z from N(0, 1); context and replay.
        posterior_episodes: with z from the posterior; context and replay.
        extra_episodes: with z from the posterior; replay only.
        warmup_steps: transitions in the replay before the first gradient step.
        context_visits: how many of the latest visits to a task contexts are drawn from; with 1 they
            are always of the present policy.
    """

    prior_episodes: int
    posterior_episodes: int
    extra_episodes: int
    warmup_steps: int
    context_visits: int

    def __post_init__(self) -> None:
        require_positive(prior_episodes=self.prior_episodes, context_visits=self.context_visits)
        require_not_negative(
            posterior_episodes=self.posterior_episodes,
            extra_episodes=self.extra_episodes,
            warmup_steps=self.warmup_steps,
        )


class PEARL:
    """Soft actor-critic told a latent task, and an encoder of contexts."""

    shares_tasks = True

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        train_tasks: int,
        collection: Collection,
        gradient_steps: int,
        meta_batch: int,
        batch: int,
        context_batch: int,
        latent_dim: int,
        encoder_hidden: Sequence[int],
        kl_weight: float,
        next_obs_in_context: bool,
        dense_training: bool,
        replay_capacity: int,
        save_replay: bool,
        sac: SAC,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        require_positive(
            train_tasks=train_tasks,
            gradient_steps=gradient_steps,
            meta_batch=meta_batch,
            batch=batch,
            context_batch=context_batch,
            latent_dim=latent_dim,
        )
        require_not_negative(kl_weight=kl_weight)
        if (most := train_tasks * replay_capacity) < collection.warmup_steps:
            raise ValueError(
                f"collection.warmup_steps: got {collection.warmup_steps}, the replay holds {most}"
            )
        self.reads_info = dense_training
        self.num_tasks, self.envs_per_task, self.collection = num_tasks, envs_per_task, collection
        self.gradient_steps, self.meta_batch, self.batch = gradient_steps, meta_batch, batch
        self.context_batch, self.kl_weight, self.latent_dim = context_batch, kl_weight, latent_dim
        self.dense_training, self.save_replay, self.sac = dense_training, save_replay, sac
        self.encode_obs = network.encoder(spec.observation)
        size = self.encode_obs.out_dim
        self.model = SoftActorCritic(
            spec, network, in_dim=size + latent_dim, temperature=sac.temperature
        )
        widths = {"obs": size, "action": self.model.bounds.size, "next_obs": size}
        self.replay = TaskReplay(
            train_tasks, replay_capacity, widths | {"reward": 1, "terminated": 1}
        )
        self.next_obs_in_context = next_obs_in_context
        width = 2 * size if next_obs_in_context else size
        width += self.model.bounds.size + 1
        visit = (collection.prior_episodes + collection.posterior_episodes) * spec.horizon
        self.context = ContextBuffer(
            train_tasks, collection.context_visits, visit * envs_per_task, width
        )
        self.encoder = ContextEncoder(width, latent_dim, encoder_hidden)
        self.optimizer = sac.gradient_step(self.model, self.encoder)

    def learned(self) -> Mapping[str, Stateful]:
        """Networks and their optimiser."""
        return {"model": self.model, "encoder": self.encoder, "optimizer": self.optimizer}

    def experience(self) -> Mapping[str, Experience]:
        """All transitions, and the latest of each task, unless checkpoints shall be small."""
        return {"replay": self.replay, "context": self.context} if self.save_replay else {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> Belief:
        """No evidence, and z from the prior, for each environment."""
        nothing = self.model.log_temperature.new_zeros(
            num_tasks * envs_per_task, 2 * self.latent_dim
        )
        return Belief(nothing, posterior(nothing).sample())

    def act(self, state: Belief, step: TimeStep, *, explore: bool) -> Output:
        """Act as if z were the task."""
        policy = self.model.policy(torch.cat([self.encode_obs(step.obs), state.z], -1))
        action = policy.sample()[0] if explore else policy.mode()
        return Output(self.model.bounds.to_env(action), state)

    @torch.no_grad()
    def adapt(self, state: Belief, episode: Trajectory) -> Belief:
        """Add the episode to the evidence and draw z from the posterior."""
        transitions = self._context_of(self._transitions_of(episode), episode.reward)
        new = self.encoder.evidence(transitions.transpose(0, 1), episode.step.active.T)
        evidence = state.evidence + new
        return Belief(evidence, posterior(evidence).sample())

    def train_step(self, sampler: Sampler) -> Metrics:
        """Collect experience in a batch of training tasks, then learn from that of all tasks."""
        metrics = self._collect(sampler)
        if int(self.replay.counts.sum()) < self.collection.warmup_steps:
            return metrics
        return metrics | self._learn()

    def require_known(self, index: Tensor) -> None:
        """Refuse tasks `[N]` that have no place in the replay."""
        if (index < 0).any():
            raise UserError("env.tasks.mode: this algorithm replays a finite set of training tasks")
        if (index >= self.replay.num_tasks).any():
            raise UserError("algo.train_tasks: there are more training tasks (env.tasks.num_train)")

    def _collect(self, sampler: Sampler) -> Metrics:
        """Algorithm 1, lines 4 to 9, in a batch of training tasks at once."""
        tasks, plan = sampler.sample_tasks(), self.collection
        self.require_known(tasks.index)
        self.context.begin_visit(gathered(tasks.index))
        trial = sampler.begin(self, tasks)
        returns: dict[str, list[Tensor]] = {"prior": [], "posterior": [], "extra": []}
        for k in range(plan.prior_episodes):
            if k > 0:
                z = posterior(torch.zeros_like(trial.state.evidence)).sample()
                trial = replace(trial, state=replace(trial.state, z=z))
            trial, earned = self._visit(sampler, trial, context=True)
            returns["prior"].append(earned)
        later = {"posterior": plan.posterior_episodes, "extra": plan.extra_episodes}
        for name in (name for name, num in later.items() for _ in range(num)):
            trial, earned = self._visit(sampler, trial, context=name == "posterior")
            returns[name].append(earned)
        return {
            f"train/return_{name}": float(torch.stack(x).mean()) for name, x in returns.items() if x
        } | {
            "replay/transitions": float(self.replay.counts.sum()),
            "replay/megabytes": (self.replay.nbytes + self.context.nbytes) / 1e6,
        }

    def _visit(self, sampler: Sampler, trial: Trial, *, context: bool) -> tuple[Trial, Tensor]:
        """Run and remember one episode; return the trial adapted to it, and the mean return."""
        episode, trial = sampler.run(self, trial)
        self._store(gathered(trial.tasks), gathered(episode, dim=1), context=context)
        return trial.adapt(self, episode), episode.episode_return.mean()

    def _store(self, tasks: Tasks, episode: Trajectory, *, context: bool) -> None:
        """Remember the steps of an episode `[T, B]`."""
        steps = self._transitions_of(episode)
        reward = dense_reward(episode) if self.dense_training else episode.reward
        ended = {"reward": reward.unsqueeze(-1), "terminated": episode.terminated.unsqueeze(-1)}
        row = tasks.index.repeat_interleave(self.envs_per_task).expand(episode.reward.shape)
        active = episode.step.active.bool()
        self.replay.add(row[active.cpu()], {name: x[active] for name, x in (steps | ended).items()})
        if context:
            self.context.add(row[active.cpu()], self._context_of(steps, episode.reward)[active])

    def _transitions_of(self, episode: Trajectory) -> Transitions:
        """States, actions and next states of an episode by name, `[T, B, width]`."""
        return {
            "obs": self.encode_obs(episode.step.obs),
            "action": self.model.bounds.from_env(episode.action),
            "next_obs": self.encode_obs(episode.next_obs),
        }

    def _context_of(self, steps: Transitions, reward: Tensor) -> Tensor:
        """What the encoder sees of steps `[T, B, ...]`: `[T, B, width]`."""
        seen = ["obs", "action", *(["next_obs"] if self.next_obs_in_context else [])]
        return torch.cat([*(steps[name] for name in seen), reward.unsqueeze(-1)], -1)

    def _learn(self) -> Metrics:
        """Algorithm 1, lines 10 to 21: gradient steps, each on some of the tasks met so far."""
        visited = torch.nonzero(self.context.counts * self.replay.counts).squeeze(-1)
        history = []
        for _ in range(self.gradient_steps):
            rows = visited[torch.randperm(len(visited))[: self.meta_batch]]
            history.append(self._gradient_step(rows))
        return mean_terms(history, "sac")

    def _gradient_step(self, rows: Tensor) -> dict[str, Tensor]:
        """One step of all networks on the tasks `[N]`."""
        context = self.context.sample(rows, self.context_batch)
        data = own_part(self.replay.sample(rows, self.batch), dim=1)
        with self.sac.autocast(data["obs"].device):
            belief = posterior(self.encoder.evidence(context))
            z = belief.mean + belief.log_std.exp() * torch.randn_like(belief.mean)
            losses, terms = self.sac.losses(self.model, self._batch_of(data, z))
        kl = kl_from_prior(belief).sum()
        norms = self.optimizer.apply(self.kl_weight * kl, *losses.values())
        self.model.follow(self.sac.target_rate)
        return losses | terms | {"kl": kl} | norms

    def _batch_of(self, data: Transitions, z: Tensor) -> Batch:
        """Flatten transitions `[N, M, ...]` and tell each the z `[N, Z]` of its task."""
        z_of_each = z.unsqueeze(1).expand(-1, data["obs"].shape[1], -1)

        def inputs(obs: Tensor, z: Tensor) -> Tensor:
            return torch.cat([obs, z], -1).flatten(0, 1)

        return Batch(
            inputs=inputs(data["obs"], z_of_each),
            next_inputs=inputs(data["next_obs"], z_of_each.detach()),
            action=data["action"].flatten(0, 1),
            reward=data["reward"].flatten(),
            terminated=data["terminated"].flatten(),
            columns=self.batch,
        )
