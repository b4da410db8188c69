"""Builds the parts of a run from its configuration; the one place that knows them all."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from metarl_cli.buffers.memory import (
    Ceiling,
    require_room_for_episodes,
    require_room_for_experience,
)
from metarl_cli.commands.parts.processes import own_number_of_tasks, require_shareable
from metarl_cli.config.build import build
from metarl_cli.core.errors import UserError
from metarl_cli.core.protocols import Algorithm, KeepsTasks, Split, require_dense_reward
from metarl_cli.core.types import Trajectory
from metarl_cli.envs.base.family import TaskFamily
from metarl_cli.functional.native import use_native
from metarl_cli.networks.recipe import Recipe
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit
from metarl_cli.runtime.evaluator import MetaTest, meta_test, meta_test_trials
from metarl_cli.runtime.process import (
    choose_device,
    keep_freed_memory,
    seed_everything,
    set_threads,
)

MOST_THREADS_PER_CORE = 8  # more only wait for each other, and thousands crash the library
MOST_SEED = 2**63 - 1 - 2_000_000
TEST_STREAM = 1_000_003  # keeps the random streams of meta-tests apart from those of training


@dataclass
class Parts:
    """An algorithm, the family of tasks it is for, and how it is trained and tested."""

    algorithm: Algorithm
    family: TaskFamily
    split: TaskSplit
    threads: int
    device: torch.device
    cfg: DictConfig

    def training_sampler(self) -> Sampler:
        """Sampler of the algorithm's meta-batch."""
        reads_info = getattr(self.algorithm, "reads_info", False)
        num, envs = own_number_of_tasks(self.cfg), self.cfg.algo.envs_per_task
        return self._sampler(num, envs, self.cfg.seed, record_info=reads_info)

    def require_trainable(self) -> None:
        """Refuse by name, before anything is written, what the first iteration could not do."""
        if getattr(self.algorithm, "dense_training", False):
            require_dense_reward({f"info/{key}" for key in self.family.info_keys})
        if isinstance(self.algorithm, KeepsTasks):
            num = self.split.num_train
            fresh = self.split.mode == "fresh"
            self.algorithm.require_known(torch.full((1,), -1) if fresh else torch.arange(num))

    def require_room(self, *, training: bool = True) -> None:
        """Refuse sizes of which a batch of episodes, or experience, would not fit into memory.

        Args:
            training: whether there will be any; otherwise only meta-tests.
        """
        algo, spec = self.cfg.algo, self.family.spec
        require_room_for_episodes(
            spec,
            self.device,
            steps=spec.horizon,
            env__tasks__num_test=self.split.num_test,
            meta_test__envs_per_task=self.test_envs_per_task,
        )
        if training:
            require_room_for_episodes(
                spec,
                self.device,
                steps=spec.horizon * int(algo.get("episodes", 1)),
                algo__num_tasks=own_number_of_tasks(self.cfg),
                algo__envs_per_task=algo.envs_per_task,
            )
            require_room_for_experience(self.algorithm, spec)

    def test(
        self, split: Split, *, most_episodes: int | None = None, probe: bool = True
    ) -> MetaTest:
        """Meta-test on the fixed tasks of `split` by the algorithm's or the user's protocol."""
        episodes = self.adaptations
        if most_episodes is not None:
            episodes = min(episodes, most_episodes)
        return meta_test(
            self.algorithm,
            self.test_sampler(split),
            episodes=episodes,
            split=split,
            seed=self.test_seed,
            probe=probe,
        )

    def test_sampler(self, split: Split) -> Sampler:
        """Sampler of a meta-test on the fixed tasks of `split`."""
        num, envs = self.split.num(split), self.test_envs_per_task
        return self._sampler(num, envs, self.test_seed, record_info=True)

    def meta_test_trials(self) -> Trajectory:
        """One trial in each test task by the same protocol: `[T, N]`."""
        seed = self.test_seed
        sampler = self._sampler(self.split.num("test"), 1, seed, record_info=True)
        return meta_test_trials(self.algorithm, sampler, episodes=self.adaptations, seed=seed)

    @property
    def adaptations(self) -> int:
        """K of the meta-test: what the user chose, or else the algorithm."""
        chosen = self.cfg.meta_test.episodes
        return int(self.cfg.algo.meta_test.episodes if chosen is None else chosen)

    @property
    def test_envs_per_task(self) -> int:
        """E of the meta-test, likewise."""
        return int(self.cfg.meta_test.envs_per_task or self.cfg.algo.meta_test.envs_per_task)

    @property
    def score_after(self) -> int | None:
        """Adaptations after which a checkpoint's return is its score, likewise.

        None: the mean over all after the first. Runs from before there was a choice lack the key.
        """
        chosen = self.cfg.meta_test.get("score_after")
        return self.cfg.algo.meta_test.get("score_after") if chosen is None else chosen

    @property
    def test_seed(self) -> int:
        """Seed of all that is random in meta-tests but their tasks."""
        return int(self.cfg.seed) + TEST_STREAM

    def _sampler(
        self, num_tasks: int, envs_per_task: int, seed: int, *, record_info: bool
    ) -> Sampler:
        simulation = self.family.simulate(
            num_tasks * envs_per_task, device=self.device, threads=self.threads
        )
        return Sampler(
            simulation, self.split, num_tasks=num_tasks, seed=seed, record_info=record_info
        )


def assemble(cfg: DictConfig) -> Parts:
    """Seed everything; build the family of tasks and the algorithm."""
    _check_ranges(cfg)
    keep_freed_memory()
    threads = set_threads(cfg.threads)
    use_native(cfg.get("native", True))  # runs from before there was a choice lack the key
    seed_everything(cfg.seed)
    try:
        device = choose_device(cfg.device)
    except ValueError as error:
        raise UserError(str(error)) from error
    family = build_family(cfg)
    network = build_network(cfg.network)
    own = {"num_tasks": own_number_of_tasks(cfg)}
    with torch.device(device), Ceiling(device):
        algorithm: Algorithm = build(cfg.algo, spec=family.spec, network=network, **own)
    require_shareable(algorithm)
    split = TaskSplit(family, **cfg.env.tasks)
    return Parts(algorithm, family, split, threads, device, cfg)


def _check_ranges(cfg: DictConfig) -> None:
    """Refuse what no constructor can refuse by its own name."""
    for group, key in (("env", "tasks"), ("algo", "meta_test")):
        if not isinstance(cfg[group].get(key), DictConfig):
            raise UserError(f"{group}.{key} is missing")
    if cfg.get("network") is None:
        raise UserError("network is missing: choose one, e.g. network=mlp")
    for key in ("num_tasks", "envs_per_task", "episodes"):
        value = cfg.algo.get(key, 1 if key == "episodes" else None)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"algo.{key} must be at least 1, got {value}")
    cores = os.cpu_count() or 1
    if cfg.threads > (most := MOST_THREADS_PER_CORE * cores):
        raise UserError(
            f"threads must be at most {most}, {MOST_THREADS_PER_CORE} for each of the {cores} cores"
            f" of this machine, got {cfg.threads}; threads=0 takes all cores"
        )
    if cfg.seed > MOST_SEED:
        raise UserError(f"seed must be at most {MOST_SEED}, got {cfg.seed}")


def build_family(cfg: DictConfig) -> TaskFamily:
    """Build the family of tasks of a configuration."""
    return build(cfg.env)


def build_network(node: DictConfig) -> Recipe:
    """Return what builds the networks that a `network` section describes."""
    return Recipe(functools.partial(build, node))
