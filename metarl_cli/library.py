"""metarl from Python: what `import metarl_cli as metarl` offers, without the command line.

    agent = metarl.load("outputs/reference/nav2d-rl2")
    env = metarl.make("nav2d", num_envs=16)
    trial = env.begin(agent, env.sample_tasks("test"))
    episode, trial = env.run(agent, trial)
    trial = trial.adapt(agent, episode)

Shapes: `T` steps, `N` tasks, `B` environments, time first. Errors that are the caller's are
`UserError`s of one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch

from metarl_cli.commands.parts.assemble import Parts
from metarl_cli.commands.parts.frozen import load_agent, load_config
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.config.make import env_settings
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Agent, Algorithm, Split, State
from metarl_cli.core.types import Output, TimeStep, Trajectory
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime.evaluator import MetaTest, meta_test
from metarl_cli.runtime.find_runs import find_checkpoint
from metarl_cli.runtime.process import own_random_streams

__all__ = ["TrainedAgent", "compose", "evaluate", "load", "make"]


@dataclass(frozen=True)
class TrainedAgent:
    """What a run has learned, ready to act: an `Agent`, and the run that it comes from."""

    parts: Parts
    checkpoint: str  # path of the file that was loaded
    env_steps: int  # of training until then

    def initial_state(self, num_tasks: int, envs_per_task: int) -> State:
        """Return what the agent knows before the first step in new tasks."""
        return self.algorithm.initial_state(num_tasks, envs_per_task)

    def act(self, state: State, step: TimeStep, *, explore: bool) -> Output:
        """Choose actions `[B, ...]`: sampled if `explore`, otherwise deterministic."""
        return self.algorithm.act(state, step, explore=explore)

    def adapt(self, state: State, episode: Trajectory) -> State:
        """Return the state after learning from an episode `[T, B]`; may be the identity."""
        return self.algorithm.adapt(state, episode)

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm, which could go on training."""
        return self.parts.algorithm

    @property
    def adaptations(self) -> int:
        """How often the run's own meta-test adapts."""
        return self.parts.adaptations

    def env(self, split: Split = "test") -> Sampler:
        """Return environments of the run's own settings, as its meta-test has them."""
        return self.parts.test_sampler(split)


def load(
    run: str | PathLike[str], *, device: str | None = None, threads: int | None = None
) -> TrainedAgent:
    """Load what a run has learned: its best checkpoint by validation tasks, unless one is named.

    No random stream of the caller moves. A run is data: nothing in it is executed.

    Args:
        run: a run folder, a checkpoint file, or `latest`.
        device: cpu, cuda or auto; None: as the run.
        threads: of torch, for this process, and of physics; None: as many as torch has now. A
            meta-test is bit for bit that of the run at as many as the run had.

    Raises:
        UserError: there is no such run, or it does not fit this version.
    """
    folder, manifest = find_checkpoint(str(run))
    cfg = load_config(folder)
    cfg.threads = torch.get_num_threads() if threads is None else threads
    cfg.device = device or cfg.device
    with own_random_streams(int(cfg.seed)):
        parts, used, source = load_agent(folder, manifest, cfg)
    return TrainedAgent(parts, source, used.env_steps)


def make(
    name: str,
    num_envs: int,
    *,
    num_tasks: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    threads: int = 1,
    **settings: Any,
) -> Sampler:
    """Build a batch of environments of one family, and what draws tasks and runs agents in them.

    `sample_tasks` draws `N` training tasks or returns `N` test tasks, `begin` starts a trial in
    them, `run` runs whole episodes and records `[T, B]` tensors. Below it, `simulation` resets and
    steps tensors, and `split.family` knows the tasks and what is exactly known of them.

    Args:
        name: of a file in `conf/env`, without `.yaml`.
        num_envs: B.
        num_tasks: N, which divides B; None: a task for each environment.
        seed: of tasks and of all that is random in episodes, but actions.
        device: of all tensors.
        threads: of the physics; results do not depend on it.
        settings: dotted keys of that file: `horizon=50, **{"objective.error": "squared"}`.

    Raises:
        UserError: there is no such environment or setting, or the family has fewer tasks.
    """
    node = env_settings(name, settings)
    family = build(node)
    num_tasks = num_envs if num_tasks is None else num_tasks
    if num_tasks < 1 or num_envs % num_tasks:
        raise UserError(f"num_tasks: got {num_tasks}, expected a divisor of num_envs={num_envs}")
    sizes = {"num_test": num_tasks, "num_validation": num_tasks}
    try:
        split = TaskSplit(family, **(dict(node.tasks) | sizes))
    except UserError as error:
        raise UserError(f"num_tasks={num_tasks}: {error}") from error
    simulation = family.simulate(num_envs, device=device, threads=threads)
    return Sampler(simulation, split, num_tasks=num_tasks, seed=seed, record_info=True)


def evaluate(
    agent: Agent,
    env: Sampler | None = None,
    *,
    episodes: int | None = None,
    split: Split = "test",
    seed: int | None = None,
    probe: bool = True,
) -> MetaTest:
    """Meta-test an agent by the protocol that `metarl eval` uses.

    Args:
        agent: who is tested; anything with `initial_state`, `act` and `adapt`.
        env: where, from `make`; None: a trained agent's own environments, so that the outcome is
            that of its run.
        episodes: K, how often it adapts; None: as the trained agent's own meta-test, else once.
        split: which tasks.
        seed: of sampled actions; None: a trained agent's own, else 0.
        probe: whether greedy episodes are scored, too.

    Returns:
        Returns `[K + 1, N, B / N]`, online and of the probes; `episodes()` are its table, a row
        with means and intervals for each k.
    """
    trained = agent if isinstance(agent, TrainedAgent) else None
    if env is None:
        if trained is None:
            raise UserError("env: an agent that was not loaded from a run has none of its own")
        env = trained.env(split)
    if episodes is None:
        episodes = trained.adaptations if trained else 1
    if seed is None:
        seed = trained.parts.test_seed if trained else 0
    return meta_test(agent, env, episodes=episodes, split=split, seed=seed, probe=probe)
