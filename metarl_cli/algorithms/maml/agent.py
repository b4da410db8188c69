"""What the gradient-based methods share: a policy with parameters of each task, and adapting them.

In a batch of tasks each has a row of parameters `[P]`. Acting and adapting are batched products
over these rows.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarl_cli.algorithms.maml.inner_loop import InnerLoop, InnerStep
from metarl_cli.algorithms.maml.linear_baseline import baseline_advantage
from metarl_cli.core import tree
from metarl_cli.core.networks import Network
from metarl_cli.core.protocols import (
    Experience,
    Metrics,
    Sampler,
    Stateful,
    Trial,
    dense_reward,
)
from metarl_cli.core.types import EnvSpec, Observation, Output, TimeStep, Trajectory
from metarl_cli.functional.distributions import Distribution
from metarl_cli.functional.policy_gradient import policy_gradient_loss
from metarl_cli.functional.statistics import whiten
from metarl_cli.networks.parameters import flatten_parameters, unflatten


class Policy(nn.Module):
    """Encoder, torso and head; `extra_dim` numbers may be appended to the encoded observation."""

    def __init__(
        self, spec: EnvSpec, network: Network, *, initial_std: float, extra_dim: int = 0
    ) -> None:
        super().__init__()
        self.encoder = network.encoder(spec.observation)
        self.torso = network.torso(self.encoder.out_dim + extra_dim)
        self.head = network.head(spec.action, self.torso.out_dim, initial_std)

    def features(self, obs: Observation) -> Tensor:
        """Return the observation as floats `[..., F]`: what the baseline sees, too."""
        return self.encoder(obs)

    def forward(self, obs: Observation) -> Distribution:
        """Return the action distribution: batch shape is that of `obs`."""
        return self.head(self.torso(self.features(obs)))


def per_sample(parameter: Tensor) -> Tensor:
    """Make a vector of parameters, one `[K]` or one per task `[N, K]`, fit samples `[N, M, K]`."""
    return parameter if parameter.dim() == 1 else parameter.unsqueeze(1)


@dataclass
class Samples:
    """One episode of all environments, regrouped by task: `[N, M, ...]`, M = T * E."""

    obs: Observation  # what the policy is shown
    action: Tensor
    advantage: Tensor
    mask: Tensor
    reward: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)

    def share(self, fraction: float) -> Samples:
        """One of every round(1 / fraction) samples, from all environments and times alike."""
        num = self.mask.shape[1]
        stride = min(max(1, round(1 / fraction)), num)
        block = torch.arange(num // stride, device=self.mask.device)
        rows = block * stride + block % stride  # a fixed place in the block would favour some envs
        return tree.tree_map(lambda x: x[:, rows], self)


@dataclass
class FastWeights:
    """What the agent knows of its tasks: one set of policy parameters each."""

    parameters: Tensor  # [N, P]
    policy: dict[str, Tensor]  # the same by name, ready for use
    steps_taken: int


class GradientAgent(ABC):
    """Acts with each task's own parameters and adapts them by policy gradients.

    Who inherits it says how the initialisation is meta-learned, in `meta_step`.

    Args:
        num_tasks: N of the meta-batch.
        envs_per_task: E of the meta-batch, episodes per task and gradient step.
        inner: the hyper-parameters of adaptation.
        dense_training: meta-train on the dense reward that the environment tells in its info,
            beside the sparse one by which it is adapted to at meta-test (MAESN, section 6).
        policy: what is adapted.
    """

    shares_tasks = True

    def __init__(
        self,
        num_tasks: int,
        envs_per_task: int,
        inner: InnerLoop,
        dense_training: bool,
        policy: Policy,
    ) -> None:
        self.num_tasks, self.envs_per_task = num_tasks, envs_per_task
        self.inner, self.policy = inner, policy
        self.dense_training = self.reads_info = dense_training

    def learned(self) -> Mapping[str, Stateful]:
        """The initialisation that is meta-learned."""
        return {"policy": self.policy}

    def experience(self) -> Mapping[str, Experience]:
        """Nothing is kept."""
        return {}

    def initial_state(self, num_tasks: int, envs_per_task: int) -> FastWeights:
        """Every task starts from the meta-learned parameters."""
        return self.fast_weights(flatten_parameters(self.policy).expand(num_tasks, -1))

    def act(self, state: FastWeights, step: TimeStep, *, explore: bool) -> Output:
        """Act with each task's own parameters."""
        num_tasks = len(state.parameters)
        obs = tree.tree_map(lambda x: x.unflatten(0, (num_tasks, -1)), step.obs)
        distribution = functional_call(self.policy, state.policy, (obs,))
        action = distribution.sample() if explore else distribution.mode()
        return Output(action.flatten(0, 1), state)

    def adapt(self, state: FastWeights, episode: Trajectory) -> FastWeights:
        """One policy-gradient step per task."""
        return self.adapt_to(state, self.samples(episode, len(state.parameters)))

    def adapt_to(self, state: FastWeights, samples: Samples) -> FastWeights:
        """One policy-gradient step per task; beyond those trained for, a smaller one."""
        ratio = self.inner.ratio(state.steps_taken)
        step = InnerStep.take(
            functools.partial(self.inner_loss, samples),
            state.parameters,
            step_size=ratio * self.step_size(),
            differentiable=False,
        )
        return self.fast_weights(step.adapted, state.steps_taken + 1)

    def train_step(self, sampler: Sampler) -> Metrics:
        """Sample and adapt in a batch of tasks, then improve the initialisation."""
        return self.meta_step(sampler, sampler.begin(self, sampler.sample_tasks()))

    @abstractmethod
    def meta_step(self, sampler: Sampler, trial: Trial) -> Metrics:
        """Improve the initialisation by a trial in a batch of tasks that begins."""

    def step_size(self) -> Tensor:
        """Alpha, of all parameters `[]` or of each `[P]`."""
        return torch.tensor(self.inner.step_size)

    def from_one_initialisation(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return where each task begins `[N, P]`, all at theta, and alpha: for an `Adaptation`."""
        return theta.expand(self.num_tasks, -1), self.step_size().to(theta)

    def collect(
        self, sampler: Sampler, trial: Trial, *, and_after: bool
    ) -> tuple[list[Samples], FastWeights, Metrics]:
        """Sample and adapt as often as is trained for.

        Args:
            sampler: of the meta-batch.
            trial: where to begin.
            and_after: whether to sample once more with the adapted parameters.

        Returns:
            The samples before each step, and after the last if asked for; the adapted state; the
            mean returns.
        """
        batches, returns = [], []
        for step in range(self.inner.steps + and_after):
            episode, trial = sampler.run(self, trial)
            if self.dense_training:
                episode = replace(episode, reward=dense_reward(episode))
            batches.append(self.samples(episode, self.num_tasks))
            returns.append(float(episode.episode_return.mean()))
            if step < self.inner.steps:
                trial = replace(trial, state=self.adapt_to(trial.state, batches[-1]))
        return batches, trial.state, {f"train/return_{k}": x for k, x in enumerate(returns)}

    def inner_loss(self, samples: Samples, parameters: Tensor) -> Tensor:
        """Loss of each task `[N]` that the inner loop descends, at parameters `[N, P]`."""
        log_prob = self.log_prob(samples, parameters)
        return policy_gradient_loss(log_prob, samples.advantage, samples.mask)

    def log_prob(self, samples: Samples, parameters: Tensor) -> Tensor:
        """Log-probabilities `[N, M]` of the actions, at parameters `[N, P]`."""
        return self.distribution(parameters, samples.obs).log_prob(samples.action)

    def distribution(self, parameters: Tensor, obs: Observation) -> Distribution:
        """Action distributions of each task's parameters `[N, P]` at its observations."""
        return functional_call(self.policy, unflatten(self.policy, parameters), (obs,))

    def fast_weights(self, parameters: Tensor, steps_taken: int = 0) -> FastWeights:
        """Make parameters `[N, P]` ready for use."""
        return FastWeights(parameters, unflatten(self.policy, parameters), steps_taken)

    def samples(self, episode: Trajectory, num_tasks: int) -> Samples:
        """Regroup by task and estimate advantages with a baseline fitted to this very batch."""
        mask = tree.by_task(episode.step.active, num_tasks)
        advantage, _, _ = baseline_advantage(
            self.policy.features(episode.step.obs),
            episode.reward,
            episode.step.active,
            num_tasks=num_tasks,
            discount=self.inner.discount,
            gae_lambda=self.inner.gae_lambda,
        )
        return Samples(
            obs=tree.by_task(episode.step.obs, num_tasks),
            action=tree.by_task(episode.action, num_tasks),
            advantage=whiten(tree.by_task(advantage, num_tasks), mask),
            mask=mask,
            reward=tree.by_task(episode.reward, num_tasks),
        )
