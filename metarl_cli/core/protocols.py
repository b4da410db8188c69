"""The roles that meet in a training run. See `core/types.py` for the values they exchange."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from metarl_cli.core.errors import UserError
from metarl_cli.core.types import (
    EnvSpec,
    Observation,
    Output,
    StepResult,
    Tasks,
    TimeStep,
    Trajectory,
)
from metarl_cli.core.words import TEST as TEST
from metarl_cli.core.words import VALIDATION as VALIDATION

if TYPE_CHECKING:
    from pathlib import Path

State = Any  # what an agent remembers, an explicit value: fast weights, hidden state, nothing
Metrics = dict[str, float]  # flat `group/name` keys
# Beside those of the test: 1 where its tasks are held out, 0 where there are so few that they are
# trained on, too.
HELD_OUT = f"{TEST}/held_out"
DENSE = "info/reward_dense"  # in the extras of episodes

Split = Literal["train", "validation", "test"]


class Agent(Protocol):
    """Acts in a batch of tasks and adapts between episodes; never keeps hidden state."""

    def initial_state(self, num_tasks: int, envs_per_task: int) -> State:
        """Return what the agent knows before the first step in new tasks."""

    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Choose actions `[B, ...]`: sampled if `explore`, otherwise deterministic."""

    def adapt(self, state: State, episode: Trajectory) -> State:
        """Return the state after learning from an episode `[T, B]`; may be the identity."""


class Simulation(Protocol):
    """B environments of one family, stepped together; tensors of one device in and out.

    Nothing is reset by itself: a row whose episode has ended stands still (observation repeated,
    reward 0, not terminated, not truncated) until the next `reset`. All episodes end at the
    horizon. What is returned is the caller's: it is never written to again.
    """

    num_envs: int  # B
    device: torch.device
    spec: EnvSpec
    info_keys: tuple[str, ...]

    def reset(self, task: Tensor, *, seed: int) -> Observation:
        """Begin an episode in every row.

        Args:
            task: `[B, D]` float64.
            seed: row i draws all its random numbers from the stream of seed + i.
        """

    def step(self, action: Tensor) -> StepResult:
        """Apply actions `[B, ...]`, clipped to their bounds, for one step."""

    def close(self) -> None:
        """Release what only it needed."""


@dataclass(frozen=True)
class OpenEpisode:
    """An episode that was cut while it went on; the simulation stands where it was left."""

    number: int  # as the sampler counts episodes
    elapsed: int  # steps taken
    obs: Observation  # [B, ...]
    active: Tensor  # [B]


@dataclass(frozen=True)
class Trial:
    """Interaction with a batch of tasks so far; a value, so rerunning from it changes nothing.

    An open episode alone depends on the simulation: it can go on as long as nothing else was run.
    """

    tasks: Tasks
    state: State
    prev_action: Tensor  # [B, ...]
    prev_reward: Tensor  # [B]
    open_episode: OpenEpisode | None = None  # left by a run of a number of steps

    def adapt(self, agent: Agent, episode: Trajectory) -> Trial:
        """Return the trial with the agent adapted to `episode`."""
        return replace(self, state=agent.adapt(self.state, episode))


class Sampler(Protocol):
    """Draws tasks and runs agents in them."""

    env_steps: int  # every environment step counts: the x-axis of all figures
    unstable: int  # simulations that blew up so far

    def sample_tasks(self, split: Split = "train") -> Tasks:
        """Draw the next batch of training tasks, or return the fixed validation or test tasks."""

    def begin(self, agent: Agent, tasks: Tasks) -> Trial:
        """Start a trial: the agent knows nothing of these tasks."""

    def run(
        self,
        agent: Agent,
        trial: Trial,
        *,
        episodes: int = 1,
        steps: int | None = None,
        explore: bool = True,
    ) -> tuple[Trajectory, Trial]:
        """Run whole episodes in all environments of the trial, or a number of steps in each."""


def mean_returns(trials: Trajectory) -> Metrics:
    """Return the mean return of each episode of trials `[T, B]`, as `train/return_k`."""
    returns = (episode.episode_return.mean() for episode in trials.episodes())
    return {f"train/return_{k}": float(x) for k, x in enumerate(returns)}


def dense_reward(episode: Trajectory) -> Tensor:
    """Return the dense reward `[T, B]` of an environment that pays the sparse one.

    Raises:
        UserError: the environment tells none in its info.
    """
    require_dense_reward(episode.extras)
    return episode.extras[DENSE]


def require_dense_reward(extras: Container[str]) -> None:
    """Raise UserError unless the dense reward is among the names of an episode's extras."""
    if DENSE not in extras:
        raise UserError(
            "algo.dense_training: this environment tells no dense reward beside its own"
        )


@runtime_checkable
class Stateful(Protocol):
    """Anything whose state goes into a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """Return a tree of tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Restore what `state_dict` returned."""


@runtime_checkable
class Experience(Stateful, Protocol):
    """What has been lived through: large, never copied and never searched for NaN.

    Its `state_dict` may share memory with it.
    """

    def mark(self) -> None:
        """Note where it stands: an iteration begins."""

    def rollback(self) -> None:
        """Return to the last mark: the iteration was given up, at any point of it."""


class Algorithm(Agent, Protocol):
    """An agent that meta-learns; it owns the loop of its paper.

    One whose attribute `reads_info` is true finds the environment's info in the extras of what it
    is given to train on, as `info/<key>`. One whose attribute `shares_tasks` is true can be trained
    by several processes, each of which builds it with its part of the tasks (`core.distributed`).
    """

    num_tasks: int  # N of the meta-batch
    envs_per_task: int  # E of the meta-batch

    def train_step(self, sampler: Sampler) -> Metrics | None:
        """Do one iteration and return its metrics; None if nothing is (left) to meta-train."""

    def learned(self) -> Mapping[str, Stateful]:
        """Name what was learned, optimisers included: small, copied before every iteration."""

    def experience(self) -> Mapping[str, Experience]:
        """Name what is learned from again and again: replay, trials; often nothing."""


@runtime_checkable
class KeepsTasks(Protocol):
    """What an agent offers that keeps something of its own for each training task."""

    def require_known(self, index: Tensor) -> None:
        """Refuse training tasks that it has no place for.

        Args:
            index: `[N]`, rows of the finite training set, -1 for tasks drawn fresh.

        Raises:
            UserError: there is no place for one of them.
        """


@runtime_checkable
class InfersTask(Protocol):
    """What an agent may offer whose belief tells the tasks apart, where they are finitely many."""

    def task_log_probs(self, trial: Trajectory) -> Tensor:
        """Return log-probabilities of all tasks before each step `[T, B]`: `[T, B, num]`."""


@runtime_checkable
class PredictsReward(Protocol):
    """What an agent may offer whose belief foretells rewards."""

    def predicted_reward(
        self, trial: Trajectory, obs: Observation, action: Tensor, next_obs: Observation
    ) -> Tensor:
        """Return what is expected of transitions `[Q, ...]` before each step: `[T, B, Q]`.

        The reward, or the chance of a positive one, whichever the agent has learned.
        """


@dataclass(frozen=True)
class Table:
    """Numbers and words in columns; None is an empty cell."""

    columns: Sequence[str]
    rows: Sequence[Sequence[float | int | str | None]]


@runtime_checkable
class ShowsImages(Protocol):
    """What a logger may offer beside what all have."""

    def image(self, name: str, path: Path, step: int) -> None:
        """Show a picture that is a file, as it was at `step` environment steps."""


@runtime_checkable
class ShowsTables(Protocol):
    """What a logger may offer beside what all have."""

    def table(self, name: str, table: Table, step: int) -> None:
        """Show a table, as it was at `step` environment steps."""


class Logger(Protocol):
    """A sink of metrics and videos."""

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Record one row of flat `group/name` metrics at `step` environment steps."""

    def video(self, name: str, frames: np.ndarray, step: int) -> None:
        """Record frames `[T, H, W, 3]` uint8."""

    def artifact(self, path: Path, kind: str, aliases: list[str]) -> None:
        """Publish a file, for instance a checkpoint."""

    def notice(self, text: str) -> None:
        """Tell the user one line."""

    def close(self, status: str) -> None:
        """Flush and close; `status` is finished, interrupted or failed."""
