"""Runs agents in batches of tasks and records what happens."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.distributed import largest, num_processes, own_part, rank, total
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.core.protocols import Agent, OpenEpisode, Simulation, Split, Trial
from metarl_cli.core.types import StepResult, Tasks, Trajectory
from metarl_cli.rollouts.recorder import Recorder
from metarl_cli.rollouts.tasks import TaskSplit

RESET, TASKS = 0, 1  # names of the random streams


class Sampler:
    """Draws tasks and runs agents in `num_tasks * envs_per_task` environments at once.

    All its randomness comes from `(seed, counter)`, never from a stream that has to be stored:
    the counters are its whole state. Action noise comes from the agent (torch's generator). What it
    records is on the simulation's device.

    Where several processes learn together, each has `num_tasks` of the tasks of a batch that one
    process would have had, its starts included; the counters are those of all of them.
    """

    def __init__(
        self,
        simulation: Simulation,
        split: TaskSplit,
        *,
        num_tasks: int,
        seed: int,
        record_info: bool = False,
    ) -> None:
        num_envs = simulation.num_envs
        if num_envs % num_tasks:
            raise ValueError(f"{num_envs} environments cannot be shared by {num_tasks} tasks")
        self.simulation, self.split, self.seed = simulation, split, seed
        self.num_tasks, self.envs_per_task = num_tasks, num_envs // num_tasks
        self.spec, self.device = simulation.spec, simulation.device
        self.info_keys = simulation.info_keys if record_info else ()
        self.env_steps = self.unstable = self.batches_drawn = self.episodes_run = 0
        self.simulate_s = self.act_s = 0.0
        self._standing = (0, 0)  # where the simulation stands: episode's number, steps taken

    def sample_tasks(self, split: Split = "train") -> Tasks:
        """Draw the next training tasks, or return the fixed validation or test tasks."""
        if split != "train":
            return self.split.fixed(split)
        self.batches_drawn += 1
        rng = np.random.default_rng([self.seed, TASKS, self.batches_drawn])
        return own_part(self.split.train(self.num_tasks * num_processes(), rng))

    def begin(self, agent: Agent, tasks: Tasks) -> Trial:
        """Start a trial: the agent knows nothing of these tasks."""
        if tasks.num != self.num_tasks:
            raise ValueError(f"expected {self.num_tasks} tasks, got {tasks.num}")
        b, space = self.simulation.num_envs, self.spec.action
        dtype = torch.float32 if np.dtype(space.dtype).kind == "f" else torch.int64
        return Trial(
            tasks=tasks,
            state=agent.initial_state(self.num_tasks, self.envs_per_task),
            prev_action=torch.zeros(b, *(space.shape or ()), dtype=dtype, device=self.device),
            prev_reward=torch.zeros(b, device=self.device),
        )

    @torch.no_grad()
    def run(
        self,
        agent: Agent,
        trial: Trial,
        *,
        episodes: int = 1,
        steps: int | None = None,
        explore: bool = True,
    ) -> tuple[Trajectory, Trial]:
        """Run an agent in all environments.

        Args:
            agent: who acts.
            trial: what has happened so far.
            episodes: how many whole episodes are run, the first from its beginning.
            steps: in place of episodes, how many steps are taken in every environment: whole
                episodes back to back, of which the last may be cut. The next run of a number of
                steps goes on with it, if the simulation has not been used for anything else.
            explore: whether actions are sampled.

        Returns:
            All steps `[T, B]`, and the trial after them.
        """
        recorded = []
        if steps is None:
            for _ in range(episodes):
                begin = replace(trial, open_episode=None)
                episode, trial = self._play(agent, begin, explore, self.spec.horizon)
                recorded.append(episode)
        else:
            left = steps
            while left > 0:
                piece, trial = self._play(agent, trial, explore, left)
                recorded.append(piece)
                left -= len(piece.reward)
        if not recorded:
            raise ValueError(f"steps: got {steps}, expected a number > 0")
        return tree.concatenate(recorded), trial

    def state_dict(self) -> dict[str, int]:
        """Return the counters."""
        names = ("env_steps", "unstable", "batches_drawn", "episodes_run")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the counters; an episode that was cut cannot go on."""
        for name in self.state_dict():
            setattr(self, name, int(state.get(name, 0)))
        self._standing = (0, 0)

    def _play(
        self, agent: Agent, trial: Trial, explore: bool, most_steps: int
    ) -> tuple[Trajectory, Trial]:
        """Run an episode, or as much of it as `most_steps` allow."""
        task = trial.tasks.params.repeat_interleave(self.envs_per_task, 0)  # [B, D]
        start = self._reset(task) if trial.open_episode is None else self._still(trial.open_episode)
        shown = task.to(self.device, torch.float32)
        record = Recorder(self.simulation, shown, start, self.info_keys)
        state, prev_action, prev_reward = trial.state, trial.prev_action, trial.prev_reward

        def step() -> None:
            nonlocal state, prev_action, prev_reward
            clock = time.perf_counter()
            output = agent.act(state, record.time_step(prev_action, prev_reward), explore=explore)
            acted = time.perf_counter()
            result = self._step(record, output.action)
            self.act_s += acted - clock
            self.simulate_s += time.perf_counter() - acted
            state = output.state
            prev_action, prev_reward = record.add(output, result)

        while record.running and record.num_steps < most_steps:
            step()
        last, open_elsewhere = largest(record.num_steps, int(record.running))
        while record.num_steps < last:  # other processes have rows that are still at work
            step()
        record.open_elsewhere = bool(open_elsewhere)
        trajectory = record.trajectory()
        env_steps, unstable = total(torch.tensor(record.count(trajectory), device="cpu")).tolist()
        self.env_steps += env_steps
        self.unstable += unstable
        self._standing = (start.number, start.elapsed + record.num_steps)
        return trajectory, Trial(trial.tasks, state, prev_action, prev_reward, record.episode)

    def _step(self, record: Recorder, action: Tensor) -> StepResult:
        try:
            return self.simulation.step(action)
        except NonFiniteError:
            record.check_inputs()  # name the cause: what is bad makes a bad action
            raise

    def _reset(self, task: Tensor) -> OpenEpisode:
        self.episodes_run += 1
        stream = np.random.SeedSequence([self.seed, RESET, self.episodes_run])
        seed = int(stream.generate_state(1, np.uint64)[0] >> np.uint64(2))
        clock = time.perf_counter()
        first_row = rank() * self.simulation.num_envs
        obs = self.simulation.reset(task.to(self.device), seed=seed + first_row)
        self.simulate_s += time.perf_counter() - clock
        active = torch.ones(self.simulation.num_envs, device=self.device)
        return OpenEpisode(self.episodes_run, 0, obs, active)

    def _still(self, episode: OpenEpisode) -> OpenEpisode:
        """Return an episode that was cut, if the simulation is still where it was left."""
        if (episode.number, episode.elapsed) != self._standing:
            raise ValueError("the trial's last episode cannot go on: the simulation was used since")
        return episode
