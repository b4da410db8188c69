"""Runs agents in batches of tasks and records what happens."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Agent, Split, Trial
from metarl_cli.core.types import EnvSpec, Observation, Output, Tasks, TimeStep, Trajectory
from metarl_cli.rollouts.tasks import TaskSplit

RESET, TASKS = 0, 1  # names of the random streams


class TaskEnv(Protocol):
    """The part of `envs.base.TaskVectorEnv` that a sampler uses."""

    num_envs: int
    env_spec: EnvSpec
    info_keys: tuple[str, ...]

    def reset(self, *, seed: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every row."""

    def step(
        self, actions: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every row that has not ended its episode."""


class Sampler:
    """Draws tasks and runs agents in `num_tasks * envs_per_task` environments at once.

    All its randomness comes from `(seed, counter)`, never from a stream that has to be stored:
    the counters are its whole state. Action noise comes from the agent (torch's generator).
    """

    def __init__(
        self,
        env: TaskEnv,
        split: TaskSplit,
        *,
        num_tasks: int,
        seed: int,
        device: torch.device | str = "cpu",
        record_info: bool = False,
    ) -> None:
        if env.num_envs % num_tasks:
            raise ValueError(f"{env.num_envs} environments cannot be shared by {num_tasks} tasks")
        self.env, self.split, self.seed = env, split, seed
        self.num_tasks, self.envs_per_task = num_tasks, env.num_envs // num_tasks
        self.spec = env.env_spec
        self.device = torch.device(device)
        self.info_keys = env.info_keys if record_info else ()
        self.env_steps = self.unstable = self.batches_drawn = self.episodes_run = 0
        self.simulate_s = self.act_s = 0.0

    def sample_tasks(self, split: Split = "train") -> Tasks:
        """Draw the next training tasks, or return the fixed validation or test tasks."""
        if split != "train":
            return self.split.fixed(split)
        self.batches_drawn += 1
        rng = np.random.default_rng([self.seed, TASKS, self.batches_drawn])
        return self.split.train(self.num_tasks, rng)

    def begin(self, agent: Agent, tasks: Tasks) -> Trial:
        """Start a trial: the agent knows nothing of these tasks."""
        if tasks.num != self.num_tasks:
            raise ValueError(f"expected {self.num_tasks} tasks, got {tasks.num}")
        b = self.env.num_envs
        example = np.asarray(self.spec.action.sample())
        dtype = torch.float32 if example.dtype.kind == "f" else torch.int64
        return Trial(
            tasks=tasks,
            state=agent.initial_state(self.num_tasks, self.envs_per_task),
            prev_action=torch.zeros(b, *example.shape, dtype=dtype, device=self.device),
            prev_reward=torch.zeros(b, device=self.device),
        )

    @torch.no_grad()
    def run(
        self, agent: Agent, trial: Trial, *, episodes: int = 1, explore: bool = True
    ) -> tuple[Trajectory, Trial]:
        """Run whole episodes in all environments: `[T, B]` and the trial after them."""
        recorded = []
        for _ in range(episodes):
            episode, trial = self._episode(agent, trial, explore)
            recorded.append(episode)
        return tree.concatenate(recorded), trial

    def state_dict(self) -> dict[str, int]:
        """Return the counters."""
        names = ("env_steps", "unstable", "batches_drawn", "episodes_run")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the counters."""
        for name in self.state_dict():
            setattr(self, name, int(state.get(name, 0)))

    def _episode(self, agent: Agent, trial: Trial, explore: bool) -> tuple[Trajectory, Trial]:
        task = trial.tasks.params.repeat_interleave(self.envs_per_task, 0)  # [B, D]
        record = _Recorder(self, task.float().to(self.device), self._reset(task))
        state, output = trial.state, None
        prev_action, prev_reward = trial.prev_action, trial.prev_reward
        while record.running:
            clock = time.perf_counter()
            output = agent.act(state, record.time_step(prev_action, prev_reward), explore=explore)
            actions = output.action.cpu().numpy()
            acted = time.perf_counter()
            outcome = self._step(record, actions)
            simulated = time.perf_counter()
            self.act_s += acted - clock
            self.simulate_s += simulated - acted
            state = output.state
            prev_action, prev_reward = record.add(output, *outcome)
        trajectory = record.trajectory()
        self.env_steps += record.env_steps
        self.unstable += record.unstable
        check_finite(trajectory)
        return trajectory, Trial(trial.tasks, state, prev_action, prev_reward)

    def _step(self, record: _Recorder, actions: np.ndarray) -> Any:
        try:
            return self.env.step(actions)
        except NonFiniteError:
            record.check_observations()  # name the cause: a bad observation makes a bad action
            raise

    def _reset(self, task: Tensor) -> Any:
        self.episodes_run += 1
        stream = np.random.SeedSequence([self.seed, RESET, self.episodes_run])
        first = int(stream.generate_state(1, np.uint64)[0] >> np.uint64(2))
        seeds = np.arange(first, first + self.env.num_envs)
        clock = time.perf_counter()
        obs, _ = self.env.reset(seed=seeds, options={"task": task.numpy()})
        self.simulate_s += time.perf_counter() - clock
        return obs

    def to_tensor(self, array: Any) -> Observation:
        """Observation arrays to tensors on the device, in their own dtype."""
        if isinstance(array, dict):
            return {k: torch.as_tensor(v).to(self.device) for k, v in array.items()}
        return torch.as_tensor(array).to(self.device)


class _Recorder:
    """Collects one episode of all environments."""

    def __init__(self, sampler: Sampler, task: Tensor, obs: Any) -> None:
        b = sampler.env.num_envs
        self.sampler, self.task = sampler, task
        self.active_now = np.ones(b, dtype=bool)
        self.active = torch.ones(b, device=sampler.device)
        self.first = torch.ones_like(self.active)
        self.zeros = torch.zeros_like(self.active)
        self.obs = [sampler.to_tensor(obs)]
        self.prev: list[tuple[Tensor, Tensor]] = []
        self.rows: list[tuple[Tensor, ...]] = []  # action, reward, terminated, active, infos
        self.extras: list[dict[str, Tensor]] = []
        self.env_steps = self.unstable = 0

    @property
    def running(self) -> bool:
        return bool(self.active_now.any())

    def time_step(self, prev_action: Tensor, prev_reward: Tensor) -> TimeStep:
        self.prev.append((prev_action, prev_reward))
        first = self.first if len(self.obs) == 1 else self.zeros
        return TimeStep(self.obs[-1], prev_action, prev_reward, first, self.active, self.task)

    def add(
        self,
        output: Output,
        obs: Any,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        info: dict[str, Any],
    ) -> tuple[Tensor, Tensor]:
        """Record one step and return the previous action and reward of the next."""
        device, active = self.sampler.device, self.active
        waiting = None if self.active_now.all() else active == 0
        self.env_steps += int(self.active_now.sum())
        if (blown := info["unstable"]).any():
            self.unstable += int(blown.sum())
            active = active * torch.as_tensor(~blown, device=device)  # never learn from this step
        ended = terminated | truncated
        if ended.any():
            self.active_now = self.active_now & ~ended
            self.active = torch.as_tensor(self.active_now, dtype=torch.float32, device=device)
        reward_t = torch.as_tensor(reward, dtype=torch.float32).to(device)
        terminated_t = torch.as_tensor(terminated).to(device) if ended.any() else self.zeros
        infos = tuple(torch.as_tensor(info[key]).to(device) for key in self.sampler.info_keys)
        self.obs.append(self.sampler.to_tensor(obs))
        self.rows.append((output.action, reward_t, terminated_t.float(), active, *infos))
        self.extras.append(output.extras)
        if waiting is None:
            return output.action, reward_t
        # A row that has ended keeps its last real step until the next episode, where it is read.
        old_action, old_reward = self.prev[-1]
        rows = waiting.view(-1, *[1] * (old_action.dim() - 1))
        return (
            torch.where(rows, old_action, output.action),
            torch.where(waiting, old_reward, reward_t),
        )

    def check_observations(self) -> None:
        _check_observations(tree.stack(self.obs), self.task, first_step=-1)

    def trajectory(self) -> Trajectory:
        obs = tree.stack(self.obs)  # [T + 1, B, ...]
        action, reward, terminated, active, *infos = tree.stack(self.rows)
        prev_action, prev_reward = tree.stack(self.prev)
        first = torch.zeros_like(reward)
        first[0] = 1.0
        step = TimeStep(
            obs=tree.index(obs, slice(None, -1)),
            prev_action=prev_action,
            prev_reward=prev_reward,
            first=first,
            active=active,
            task=self.task.expand(len(reward), *self.task.shape),
        )
        named = zip(self.sampler.info_keys, infos, strict=True)
        extras = tree.stack(self.extras) | {f"info/{key}": x.float() for key, x in named}
        return Trajectory(step, action, reward, tree.index(obs, slice(1, None)), terminated, extras)


def check_finite(episode: Trajectory) -> None:
    """Raise NonFiniteError naming the first bad action, reward or observation."""
    task = episode.step.task[0]
    _require_finite("action", episode.action, task, first_step=0)
    _require_finite("reward", episode.reward, task, first_step=0)
    _check_observations(tree.index(episode.step.obs, slice(1)), task, first_step=-1)
    _check_observations(episode.next_obs, task, first_step=0)


def _check_observations(obs: Observation, task: Tensor, *, first_step: int) -> None:
    for name, x in (obs if isinstance(obs, dict) else {"obs": obs}).items():
        _require_finite(name, x, task, first_step=first_step)


def _require_finite(name: str, x: Tensor, task: Tensor, *, first_step: int) -> None:
    """Check `x` `[T, B, ...]` whose first row belongs to `first_step`; -1 is the reset."""
    if not x.is_floating_point() or torch.isfinite(x).all():
        return
    t, b = torch.nonzero(~torch.isfinite(x))[0, :2].tolist()
    place = "the reset" if t + first_step < 0 else f"step {t + first_step}"
    raise NonFiniteError(
        f"{name} is not finite at {place} in environment {b} "
        f"(task {task[b].tolist()}): {x[t, b].tolist()}"
    )
