"""DREAM: explore to identify what exploitation needs to know of the task.

Liu et al. 2021 (arXiv:2008.02790). A trial is one exploration episode and then exploitation. A task
embedding f is learned with the exploitation policy, through noise and a penalty on its size, so
that it says no more of the task than pays (section 4.1). The exploration policy is paid for making
f predictable from its episode, and the decoder g learns to predict it (section 4.2). At meta-test
g of the exploration episode takes the place of f. Both policies are recurrent dueling double
Q-networks.

Differences from the paper:
- Target networks follow slowly instead of being copied now and then.
- Q(lambda) returns unless `td_lambda` is 0.
- Updates are on whole episodes, whose ends are final also at the time limit.
- Every update learns exploitation from f for one half of the trials and from g for the other,
  whichever of them was acted on; theirs learns from the one acted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from metarl_cli.algorithms.dream.information import embedding_distance, information_gain
from metarl_cli.algorithms.dream.q_values import RecurrentQ
from metarl_cli.algorithms.dream.task_embedding import EpisodeEmbedding, TaskEmbedding
from metarl_cli.buffers.sequences import Episodes, as_sequence, episodes_of
from metarl_cli.buffers.trials import TrialBuffer
from metarl_cli.core.checks import require_not_negative, require_positive
from metarl_cli.core.errors import UserError
from metarl_cli.core.networks import Network, Precision, State
from metarl_cli.core.protocols import Experience, Metrics, Sampler, Stateful
from metarl_cli.core.types import EnvSpec, Output, TimeStep, Trajectory
from metarl_cli.functional.statistics import masked_mean
from metarl_cli.learners.gradient_step import Adam, GradientStep, mean_terms
from metarl_cli.learners.q_learning import QLearning, epsilon_greedy
from metarl_cli.networks.step_memory import StepMemory

EXPLORE, EXPLOIT, DECODER, TASK = "explore", "exploit", "decoder", "task"


@dataclass(frozen=True)
class Bottleneck:
    """How much the task embedding may say, and what finding it out pays.

    Args:
        latent_dim: Z.
        noise_std: rho, of the noise on f.
        norm_weight: lambda, of the squared norm of f.
        most_norm: K, the squared norm from which on more of it costs no more.
        step_cost: c, taken off the exploration reward in each step.
    """

    latent_dim: int
    noise_std: float
    norm_weight: float
    most_norm: float
    step_cost: float

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim, most_norm=self.most_norm)
        require_not_negative(
            noise_std=self.noise_std, norm_weight=self.norm_weight, step_cost=self.step_cost
        )

    def norm_loss(self, norm: Tensor) -> Tensor:
        """Penalty lambda min(|f|^2, K), the mean over squared norms `[B]` (Equation 3)."""
        return self.norm_weight * norm.clamp(max=self.most_norm).mean()


@dataclass
class Phase:
    """What an agent knows within a trial; all environments are in the same phase."""

    exploring: bool
    memory: State  # of the policy that acts now
    latent: Tensor  # [B, Z], what the exploration episode was embedded to
    informed: Tensor  # [B], 1 where exploitation is given f instead
    epsilon: float  # share of random actions while exploring
    held: Tensor  # [B], the random action that is being kept up, -1 for none


class DREAM:
    """Two Q-learners, and two embeddings of the task between them."""

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        episodes: int,
        save_buffer: bool,
        q_hidden: Sequence[int],
        task_hidden: Sequence[int],
        vision_precision: Precision,
        bottleneck: Bottleneck,
        q_learning: QLearning,
        *,
        spec: EnvSpec,
        network: Network,
    ) -> None:
        if episodes < 2:
            raise ValueError(f"episodes: got {episodes}, expected at least 2: the first explores")
        if not isinstance(spec.action, Discrete):
            raise UserError(f"algo=dream needs discrete actions, env has {spec.action}")
        self.num_tasks, self.envs_per_task, self.episodes = num_tasks, envs_per_task, episodes
        self.save_buffer, self.bottleneck, self.q_learning = save_buffer, bottleneck, q_learning
        z = bottleneck.latent_dim
        self.explorer = RecurrentQ(spec, network, q_hidden, vision_precision)
        self.exploiter = RecurrentQ(spec, network, q_hidden, vision_precision, z)
        self.decoder = EpisodeEmbedding(spec, network, z, vision_precision)
        self.task_embedding = TaskEmbedding(spec, network, z, task_hidden)
        policies = nn.ModuleDict({EXPLORE: self.explorer, EXPLOIT: self.exploiter})
        self.policies, self.targets = policies, deepcopy(policies).requires_grad_(False)
        embeddings = {DECODER: self.decoder, TASK: self.task_embedding}
        self.model = nn.ModuleDict({**policies, **embeddings})
        self.optimizer = GradientStep(
            Adam(self.model.parameters(), lr=q_learning.learning_rate, fused=True),
            "DREAM's networks",
            max_grad_norm=q_learning.max_grad_norm,
            apart=dict(self.model.items()),
        )
        self.buffer: TrialBuffer[dict[str, TimeStep]] = TrialBuffer(
            q_learning.buffer_trials, spec.horizon + 1
        )

    def learned(self) -> Mapping[str, Stateful]:
        """Networks, target networks and the optimiser."""
        return {"model": self.model, "targets": self.targets, "optimizer": self.optimizer}

    def experience(self) -> Mapping[str, Experience]:
        """The latest trials, unless checkpoints shall be small."""
        return {"buffer": self.buffer} if self.save_buffer else {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> Phase:
        """Exploration with an empty memory; nobody is given f and no action is random."""
        num = num_tasks * envs_per_task
        zeros = self.task_embedding.out.weight.new_zeros(num, self.bottleneck.latent_dim)
        informed, held = zeros.new_zeros(num), torch.full((num,), -1, device=zeros.device)
        return Phase(
            True, self.explorer.memory.initial_state(num), zeros, informed, epsilon=0.0, held=held
        )

    def act(self, state: Phase, step: TimeStep, *, explore: bool) -> Output:
        """Remember the step and act by the policy of the phase."""
        if state.exploring:
            values, memory = self.explorer.step(step, state.memory)
        else:
            values, memory = self.exploiter.step(step, state.memory, state.latent)
        epsilon = state.epsilon if explore else 0.0
        action, held = epsilon_greedy(values, epsilon, state.held, self.q_learning.repeat)
        return Output(action, replace(state, memory=memory, held=held))

    @torch.no_grad()
    def adapt(self, state: Phase, episode: Trajectory) -> Phase:
        """Embed the exploration episode, or start another exploitation episode."""
        memory = self.exploiter.memory.initial_state(len(state.informed))
        state = replace(state, memory=memory, held=torch.full_like(state.held, -1))
        if not state.exploring:
            return state
        explored = episodes_of(as_sequence(episode))
        latent = at_end(self.decoder(explored.step), explored)
        if state.informed.any():
            informed = state.informed.unsqueeze(-1) > 0
            embedded = self._noisy(self.task_embedding(explored.step.task[0]))
            latent = torch.where(informed, embedded, latent)
        return replace(state, exploring=False, latent=latent)

    def train_step(self, sampler: Sampler) -> Metrics:
        """New trials in a batch of tasks, then updates on the latest ones."""
        metrics = self._collect(sampler)
        if self.buffer.num < self.q_learning.min_trials:
            return metrics
        history = [self._update() for _ in range(self.q_learning.updates)]
        return metrics | mean_terms(history, "dream")

    def _collect(self, sampler: Sampler) -> Metrics:
        """Run trials, of which every other is given f, and store them."""
        epsilon = self.q_learning.epsilon(sampler.env_steps)
        trial = sampler.begin(self, sampler.sample_tasks())
        rows = torch.arange(len(trial.state.informed), device=trial.state.informed.device)
        informed = (rows % 2 == 0).float()
        trial = replace(trial, state=replace(trial.state, epsilon=epsilon, informed=informed))
        explored, trial = sampler.run(self, trial)
        trial = trial.adapt(self, explored)
        metrics = {
            "dream/epsilon": epsilon,
            "train/return_0": float(explored.episode_return.mean()),
        }
        exploration = as_sequence(explored)
        self._update_statistics(exploration, self.explorer.memory, self.decoder.memory)
        for k in range(1, self.episodes):
            exploited, trial = sampler.run(self, trial)
            trial = trial.adapt(self, exploited)
            exploitation = as_sequence(exploited)
            self.buffer.add({EXPLORE: exploration, EXPLOIT: exploitation})
            self._update_statistics(exploitation, self.exploiter.memory)
            returns, informed = exploited.episode_return, trial.state.informed
            metrics[f"train/return_{k}"] = float(returns.mean())
            metrics[f"train/return_{k}_informed"] = float(masked_mean(returns, informed))
            metrics[f"train/return_{k}_decoded"] = float(masked_mean(returns, 1 - informed))
        return metrics

    def _update_statistics(self, sequence: TimeStep, *memories: StepMemory) -> None:
        for memory in memories:
            memory.update_statistics(episodes_of(sequence).step)

    def _update(self) -> dict[str, Tensor]:
        """One step of all networks; the decoder's gradient and those of both policies are apart."""
        trials = self.buffer.sample(self.q_learning.batch)
        explored, exploited = episodes_of(trials[EXPLORE]), episodes_of(trials[EXPLOIT])
        embedding = self.task_embedding(explored.step.task[0])  # [B, Z]
        decoded = self.decoder(explored.step)  # [T + 1, B, Z]
        distance = embedding_distance(decoded, embedding.detach())
        gain = information_gain(distance.detach(), self.bottleneck.step_cost)
        norm = embedding.square().sum(-1)
        latent = self._half_informed(embedding, at_end(decoded, explored).detach())
        losses = {
            "explore_loss": self._q_loss(EXPLORE, replace(explored, reward=gain)),
            "exploit_loss": self._q_loss(EXPLOIT, exploited, latent),
            "decoder_loss": (distance * explored.step.active).sum(0).mean(),
            "norm_loss": self.bottleneck.norm_loss(norm),
        }
        terms = {
            "embedding_norm": norm.mean(),
            "distance_first": distance[0].mean(),
            "distance_last": at_end(distance, explored).mean(),
        }
        norms = self.optimizer.apply(*losses.values())
        self.q_learning.follow(self.targets, self.policies)
        return losses | terms | norms

    def _q_loss(self, name: str, episodes: Episodes, latent: Tensor | None = None) -> Tensor:
        policy, target = self.policies[name], self.targets[name]
        assert isinstance(policy, RecurrentQ) and isinstance(target, RecurrentQ)
        values = policy.sequence(episodes.step, latent)
        with torch.no_grad():
            target_values = target.sequence(episodes.step, latent)
        return self.q_learning.loss(values, target_values, episodes)

    def _half_informed(self, embedding: Tensor, decoded: Tensor) -> Tensor:
        """What exploitation is given `[B, Z]`: noisy f in the first half of trials, g in others."""
        half = len(embedding) // 2
        return torch.cat([self._noisy(embedding[:half]), decoded[half:]])

    def _noisy(self, embedding: Tensor) -> Tensor:
        return embedding + self.bottleneck.noise_std * torch.randn_like(embedding)


def at_end(x: Tensor, episodes: Episodes) -> Tensor:
    """Choose from `[T + 1, B, ...]` what belongs to the last observation of each episode."""
    return x[episodes.end, torch.arange(x.shape[1], device=x.device)]
