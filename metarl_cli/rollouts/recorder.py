"""Collects an episode, or a piece of one, of all environments of a simulation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import OpenEpisode, Simulation
from metarl_cli.core.types import Observation, Output, StepResult, TimeStep, Trajectory


class Recorder:
    """Takes steps from where an episode stands.

    All tensors stay on the simulation's device. On the CPU it looks which rows are still at work,
    stops when none is, and leaves out what would change nothing; anywhere else looking would make
    the device wait at every step, so nothing is left out, and the episode lasts to its horizon.

    Args:
        simulation: where.
        task: `[B, D]` float32, what privileged agents are shown.
        episode: where it stands.
        info_keys: the entries of info that are recorded.
    """

    def __init__(
        self,
        simulation: Simulation,
        task: Tensor,
        episode: OpenEpisode,
        info_keys: Sequence[str] = (),
    ) -> None:
        self._on_cpu = simulation.device.type == "cpu"
        self._horizon, self._info_keys, self._task = simulation.spec.horizon, info_keys, task
        self._start, self._active = episode, episode.active
        self._first, self._zeros = torch.ones_like(self._active), torch.zeros_like(self._active)
        self._someone_waits = self._any(self._active == 0)
        self._someone_works = self._any(self._active)
        self.open_elsewhere = False  # whether the episode goes on in another process
        self._obs = [episode.obs]
        self._previous: list[tuple[Tensor, Tensor]] = []
        self._rows: list[tuple[Tensor, ...]] = []  # action, reward, terminated, active, infos
        self._extras: list[dict[str, Tensor]] = []
        self._unstable: Tensor | int = 0

    @property
    def num_steps(self) -> int:
        """Steps recorded so far."""
        return len(self._rows)

    @property
    def running(self) -> bool:
        """Whether the episode goes on."""
        works = self._someone_works or self.open_elsewhere
        return works and self._start.elapsed + self.num_steps < self._horizon

    @property
    def episode(self) -> OpenEpisode | None:
        """Where the episode stands; None if it is over."""
        if not self.running:
            return None
        elapsed = self._start.elapsed + self.num_steps
        return OpenEpisode(self._start.number, elapsed, self._obs[-1], self._active)

    def time_step(self, prev_action: Tensor, prev_reward: Tensor) -> TimeStep:
        """Return what the agent may look at now."""
        self._previous.append((prev_action, prev_reward))
        first = self._first if self._start.elapsed + self.num_steps == 0 else self._zeros
        obs, active = self._obs[-1], self._active
        return TimeStep(obs, prev_action, prev_reward, first, active, self._task)

    def add(self, output: Output, result: StepResult) -> tuple[Tensor, Tensor]:
        """Record one step and return the previous action and reward of the next."""
        active, unstable = self._active, result.info["unstable"]
        if self._any(unstable):
            self._unstable = self._unstable + unstable.sum()
            active = active * ~unstable  # never learn from this step
        before = self._active if self._someone_waits else None
        terminated = self._zeros
        ended = result.terminated | result.truncated
        if self._any(ended):
            terminated = result.terminated.float()
            self._active = self._active * ~ended
            self._someone_waits, self._someone_works = True, self._any(self._active)
        infos = (result.info[key] for key in self._info_keys)
        self._obs.append(result.obs)
        self._rows.append((output.action, result.reward, terminated, active, *infos))
        self._extras.append(output.extras)
        if before is None:
            return output.action, result.reward
        # A row that has ended keeps its last real step until the next episode, where it is read.
        waiting, (old_action, old_reward) = before == 0, self._previous[-1]
        rows = waiting.view(-1, *[1] * (old_action.dim() - 1))
        return (
            torch.where(rows, old_action, output.action),
            torch.where(waiting, old_reward, result.reward),
        )

    def trajectory(self) -> Trajectory:
        """Return all steps `[T, B]`, or raise NonFiniteError for what is not finite."""
        obs = tree.stack(self._obs)  # [T + 1, B, ...]
        action, reward, terminated, active, *infos = tree.stack(self._rows)
        prev_action, prev_reward = tree.stack(self._previous)
        first = torch.zeros_like(reward)
        first[0] = float(self._start.elapsed == 0)
        step = TimeStep(
            obs=tree.index(obs, slice(None, -1)),
            prev_action=prev_action,
            prev_reward=prev_reward,
            first=first,
            active=active,
            task=self._task.expand(len(reward), *self._task.shape),
        )
        named = zip(self._info_keys, infos, strict=True)
        extras = tree.stack(self._extras) | {f"info/{key}": x.float() for key, x in named}
        next_obs = tree.index(obs, slice(1, None))
        trajectory = Trajectory(step, action, reward, next_obs, terminated, extras)
        self._require_finite(obs, action, reward)
        return trajectory

    def count(self, trajectory: Trajectory) -> tuple[int, int]:
        """Return how many environment steps were simulated, and in how many of them it blew up."""
        unstable = int(self._unstable)
        return int(trajectory.step.active.sum(dtype=torch.int64)) + unstable, unstable

    def check_inputs(self) -> None:
        """Raise NonFiniteError for an observation or a reward so far that is not finite."""
        rewards = torch.stack([row[1] for row in self._rows]) if self._rows else None
        self._require_finite(tree.stack(self._obs), None, rewards)

    def _require_finite(
        self, obs: Observation, action: Tensor | None, reward: Tensor | None
    ) -> None:
        """Raise NonFiniteError for what came first of all that is not finite.

        Of one step, an observation `[T + 1, B, ...]` is before the action that it leads to, and
        the action before the reward: a NaN is passed on, and the cause is wanted.
        """
        seen: dict[str, Tensor] = obs if isinstance(obs, dict) else {"obs": obs}
        faults = []
        for order, (name, x) in enumerate([*seen.items(), ("action", action), ("reward", reward)]):
            if x is not None and x.is_floating_point() and not torch.isfinite(x).all():
                t, b = torch.nonzero(~torch.isfinite(x))[0, :2].tolist()
                faults.append((t, order, b, name, x[t, b].tolist()))
        if not faults:
            return
        t, order, b, name, value = min(faults)
        step = self._start.elapsed + t - (order < len(seen))
        place = "the reset" if step < 0 else f"step {step}"
        raise NonFiniteError(
            f"{name} is not finite at {place} in environment {b} "
            f"(task {self._task[b].tolist()}): {value}"
        )

    def _any(self, rows: Tensor) -> bool:
        """Return whether some rows `[B]` are true; off the CPU it is taken to be so."""
        return not self._on_cpu or bool(rows.any())
