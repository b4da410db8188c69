"""The one meta-test protocol, the same for every algorithm.

In each of M tasks: for k = 0..K the *online* return of episode k (what the agent earned while it
explored, sampled actions), a greedy *probe* (deterministic actions, scored and forgotten), and
adaptation to episode k. Every published protocol is a view of this table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl_cli.core import tree
from metarl_cli.core.protocols import VALIDATION, Agent, Metrics, Sampler, Split
from metarl_cli.core.types import Tasks, Trajectory
from metarl_cli.functional.statistics import bootstrap_interval
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval, TaskRow
from metarl_cli.runtime.process import own_random_streams


@dataclass
class MetaTest:
    """What a meta-test measured: `[K + 1, M, E]` by episode index, task and environment."""

    tasks: Tasks
    online: Tensor
    probe: Tensor | None  # None if probes were left out
    online_info: dict[str, Tensor]  # per-step means of the environment's info
    probe_info: dict[str, Tensor]
    env_steps: int
    unstable: int  # simulations that blew up; their episodes count as they were until then

    def score(self, after: int | None = None) -> float:
        """Mean online return of what a checkpoint is chosen by.

        Args:
            after: so many adaptations, or all where there were fewer; None: the mean over the
                episodes after one adaptation or more.
        """
        most = len(self.online) - 1
        if after is None:
            return float(self.online[min(1, most) :].mean())
        return float(self.online[min(after, most)].mean())

    def diverging(self) -> float | None:
        """Share of tasks that ended worse than they began, or than after the first adaptation.

        Worse means that the mean online return of a task's E episodes is lower by more than two
        standard errors of the difference, at E = 1 by anything. None: there was no adaptation.
        """
        if len(self.online) < 2:
            return None
        mean, envs = self.online.mean(-1), self.online.shape[-1]  # [K + 1, M]
        variance = self.online.var(-1) / envs if envs > 1 else torch.zeros_like(mean)
        lost = mean[:2] - mean[-1]  # [2, M]
        error = (variance[:2] + variance[-1]).sqrt()
        return float((lost > 2 * error).any(0).float().mean())

    def metrics(self, group: str = VALIDATION) -> Metrics:
        """Means over tasks and the interval of the online one, as `eval/online_k` and so on.

        `eval/diverging` is the share of tasks of `diverging`.

        Args:
            group: what the names begin with: `eval` on validation tasks, `test` on test tasks.
        """
        out: Metrics = {}
        for kind, returns in self._kinds().items():
            for k, row in enumerate(returns):
                out[f"{group}/{kind}_{k}"] = float(row.mean())
        for k, row in enumerate(self.online):
            interval = summary(row)
            name = f"{group}/online_{k}"
            out |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        if (diverging := self.diverging()) is not None:
            out[f"{group}/diverging"] = diverging
        return out

    def evaluation(
        self,
        *,
        env: str,
        algo: str,
        checkpoint: str,
        env_steps: int,
        test_seed: int,
        same_tasks: bool,
    ) -> Evaluation:
        """Return all that was measured, for eval.json.

        Args:
            env: name of the environment.
            algo: name of the algorithm.
            checkpoint: what was measured.
            env_steps: that it had been trained for.
            test_seed: that the tasks came from.
            same_tasks: whether they are trained on, too.
        """
        return Evaluation(
            env=env,
            algo=algo,
            checkpoint=checkpoint,
            env_steps=env_steps,
            test_seed=test_seed,
            num_tasks=self.tasks.num,
            same_tasks=same_tasks,
            envs_per_task=self.online.shape[-1],
            test_env_steps=self.env_steps,
            unstable=self.unstable,
            diverging=self.diverging(),
            episodes=self.episodes(),
            tasks=self.per_task(),
        )

    def episodes(self) -> list[EpisodeRow]:
        """One row per episode index: mean and 95 % interval over tasks of each kind of return."""
        return [
            EpisodeRow(
                index=k,
                **{kind: summary(returns[k]) for kind, returns in self._kinds().items()},
                success=_mean(self._info, "success", k),
                online_success=_mean(self.online_info, "success", k),
                found=self._found(k),
                info={key: x[k].mean().item() for key, x in self._info.items()},
            )
            for k in range(len(self.online))
        ]

    def _found(self, k: int) -> float | None:
        """Share of tasks in which an agent that has adapted k times succeeds at least once."""
        if "success" not in self.online_info:
            return None
        return float((self.online_info["success"][k] > 0).any(-1).float().mean())

    def per_task(self) -> list[TaskRow]:
        """One row per task: its parameters, and returns and info by episode index."""
        return [
            TaskRow(
                params=self.tasks.params[i].tolist(),
                **{kind: x[:, i].mean(-1).tolist() for kind, x in self._kinds().items()},
                info={key: x[:, i].mean(-1).tolist() for key, x in self._info.items()},
            )
            for i in range(self.tasks.num)
        ]

    def _kinds(self) -> dict[str, Tensor]:
        probe = {} if self.probe is None else {"probe": self.probe}
        return {"online": self.online} | probe

    @property
    def _info(self) -> dict[str, Tensor]:
        """Of the probes, where there are any."""
        return self.probe_info or self.online_info


def meta_test(
    agent: Agent,
    sampler: Sampler,
    *,
    episodes: int,
    split: Split,
    seed: int,
    probe: bool = True,
) -> MetaTest:
    """Run the protocol with K = `episodes` adaptations; no random stream of the caller moves."""
    with own_random_streams(seed):
        return _run_protocol(agent, sampler, episodes, split, probe)


def meta_test_trials(agent: Agent, sampler: Sampler, *, episodes: int, seed: int) -> Trajectory:
    """Return all steps `[T, B]` of the online episodes k = 0..K on the test tasks."""
    tasks = sampler.sample_tasks("test")
    return tree.concatenate(online_episodes(agent, sampler, tasks, episodes=episodes, seed=seed))


def online_episodes(
    agent: Agent, sampler: Sampler, tasks: Tasks, *, episodes: int, seed: int
) -> list[Trajectory]:
    """Return the online episodes k = 0..K of one trial in `tasks`, `[T, B]` each."""
    with own_random_streams(seed):
        trial = sampler.begin(agent, tasks)
        recorded = []
        for k in range(episodes + 1):
            episode, trial = sampler.run(agent, trial)
            recorded.append(episode)
            if k < episodes:
                trial = trial.adapt(agent, episode)
        return recorded


def _run_protocol(
    agent: Agent, sampler: Sampler, episodes: int, split: Split, probe: bool
) -> MetaTest:
    tasks, start = sampler.sample_tasks(split), sampler.env_steps
    unstable = sampler.unstable
    trial = sampler.begin(agent, tasks)
    online, probes = [], []
    for k in range(episodes + 1):
        if probe:
            scored, _ = sampler.run(agent, trial, explore=False)  # forgotten: a trial is a value
            probes.append(_digest(scored, tasks.num))
        episode, trial = sampler.run(agent, trial)
        online.append(_digest(episode, tasks.num))
        if k < episodes:
            trial = trial.adapt(agent, episode)
    online_return, online_info = _stack(online)
    probe_return, probe_info = _stack(probes) if probe else (None, {})
    steps = sampler.env_steps - start
    unstable = sampler.unstable - unstable
    return MetaTest(tasks, online_return, probe_return, online_info, probe_info, steps, unstable)


def _digest(episode: Trajectory, num_tasks: int) -> dict[str, Tensor]:
    """Return and mean info of an episode, `[N, E]`; success counts if it was met at any step."""
    active = episode.step.active
    out = {"return": episode.reward.sum(0)}
    for key, x in episode.extras.items():
        if key == "info/success":
            out["success"] = (x * active).amax(0)
        elif key.startswith("info/") and key != "info/unstable":
            out[key.removeprefix("info/")] = (x * active).sum(0) / active.sum(0).clamp(min=1)
    return {key: x.unflatten(0, (num_tasks, -1)).cpu() for key, x in out.items()}


def _stack(digests: Sequence[dict[str, Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
    stacked = {key: torch.stack([d[key] for d in digests]) for key in digests[0]}
    return stacked.pop("return"), stacked


def _mean(info: dict[str, Tensor], key: str, k: int) -> float | None:
    return info[key][k].mean().item() if key in info else None


def summary(returns: Tensor) -> Interval:
    """Mean over tasks and environments `[M, E]` with a 95 % bootstrap interval over tasks."""
    per_task = returns.mean(-1).double().numpy()
    low, high = bootstrap_interval(per_task)
    return Interval(float(per_task.mean()), low, high)
