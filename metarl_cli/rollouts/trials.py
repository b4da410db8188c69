"""Whole trials for algorithms that adapt while they act."""

from __future__ import annotations

from dataclasses import replace

from metarl_cli.core import tree
from metarl_cli.core.protocols import Agent, Metrics, Sampler, State
from metarl_cli.core.types import Trajectory


def run_training_trials(
    agent: Agent, sampler: Sampler, episodes: int, state: State = None
) -> tuple[Trajectory, Metrics]:
    """Run a trial of several episodes in a batch of training tasks.

    Args:
        agent: who acts.
        sampler: where.
        episodes: per trial.
        state: what the agent knows at the start; None: its initial state.

    Returns:
        All its steps `[T, B]`, and the mean return of each episode as `train/return_k`.
    """
    trial = sampler.begin(agent, sampler.sample_tasks())
    trial = trial if state is None else replace(trial, state=state)
    recorded = []
    for _ in range(episodes):
        episode, trial = sampler.run(agent, trial)
        recorded.append(episode)
    returns = {f"train/return_{k}": float(e.episode_return.mean()) for k, e in enumerate(recorded)}
    return tree.concatenate(recorded), returns
