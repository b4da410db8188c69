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
        return {k: getattr(self, k) for k in ("env_steps", "batches_drawn", "episodes_run")}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the counters."""
        for name, value in state.items():
            setattr(self, name, value)

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
            outcome = self.env.step(actions)
            simulated = time.perf_counter()
            self.act_s += acted - clock
            self.simulate_s += simulated - acted
            state, prev_action = output.state, output.action
            prev_reward = record.add(output, *outcome)
        trajectory = record.trajectory()
        self.env_steps += record.env_steps
        self.unstable += record.unstable
        check_finite(trajectory)
        return trajectory, Trial(trial.tasks, state, prev_action, prev_reward)

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
    ) -> Tensor:
        """Record one step and return its reward `[B]`."""
        device, active = self.sampler.device, self.active
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
        infos = tuple(torch.as_tensor(info[key]) for key in self.sampler.info_keys)
        self.obs.append(self.sampler.to_tensor(obs))
        self.rows.append((output.action, reward_t, terminated_t.float(), active, *infos))
        self.extras.append(output.extras)
        return reward_t

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
    obs = episode.next_obs if isinstance(episode.next_obs, dict) else {"obs": episode.next_obs}
    named = {"action": episode.action, "reward": episode.reward, **obs}
    for name, x in named.items():
        if x.is_floating_point() and not torch.isfinite(x).all():
            t, b = torch.nonzero(~torch.isfinite(x))[0, :2].tolist()
            task = episode.step.task[t, b].tolist()
            value = x[t, b].tolist()
            raise NonFiniteError(
                f"{name} is not finite at step {t} in environment {b} (task {task}): {value}"
            )
