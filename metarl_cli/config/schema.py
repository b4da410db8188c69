"""The fixed part of every command's configuration, as dataclasses without defaults in disguise.

The values live in `conf/*.yaml`; these classes say which keys exist, their types and legal ranges.
A field with a default may be absent. Open groups (env, algo, network, logger) are `Node`: they are
checked against the signature of the class that their `_target_` names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Node = dict[str, Any]
Device = Literal["cpu", "cuda", "auto"]


def at_least(minimum: float, *, optional: bool = False) -> Any:
    """Declare a field with an inclusive lower bound; an optional one may be absent or null."""
    metadata = {"minimum": minimum}
    return field(default=None, metadata=metadata) if optional else field(metadata=metadata)


def fraction() -> Any:
    """Declare a field that is null or from 0 to 1."""
    return field(metadata={"minimum": 0, "maximum": 1})


@dataclass
class BudgetConfig:
    """How long a run lasts and how often periodic work is due, in environment steps and minutes.

    Attributes:
        env_steps: training stops after the iteration that reaches it.
        eval_every: environment steps between evaluations on the validation tasks.
        checkpoint_every: environment steps between checkpoints.
        keep_checkpoints: the last K stay; the best is kept besides.
        checkpoint_minutes: of work that a crash may cost at most, or one iteration.
    """

    env_steps: int = at_least(1)
    eval_every: int = at_least(1)
    checkpoint_every: int = at_least(1)
    keep_checkpoints: int = at_least(1)
    checkpoint_minutes: float = at_least(0)


@dataclass
class MetaTestConfig:
    """The meta-test protocol: episodes of adaptation K and environments per task E.

    Attributes:
        episodes: adaptations K, each after an episode of every environment.
        envs_per_task: environments per test task, all of which one adaptation sees.
        score_after: checkpoints are chosen by the online return after so many adaptations (K if
            that is fewer); null: by the mean of those after 1 to K.
    """

    episodes: int | None = at_least(0, optional=True)
    envs_per_task: int | None = at_least(1, optional=True)
    score_after: int | None = at_least(0, optional=True)


@dataclass
class TasksConfig:
    """Training and held-out tasks of an environment; read by the sampler.

    Attributes:
        mode: "fresh": new training tasks all the time; "finite": a fixed set.
        num_train: size of the training set if finite.
        train_seed: draws the training set if finite.
        num_test: number of test tasks.
        test_seed: draws test and validation tasks.
        num_validation: number of validation tasks; null: as many as for testing.
    """

    mode: Literal["fresh", "finite"]
    num_train: int = at_least(1)
    train_seed: int = at_least(0)
    num_test: int = at_least(1)
    test_seed: int = at_least(0)
    num_validation: int | None = at_least(1, optional=True)  # null: as many as for testing


@dataclass
class TrainConfig:
    """Root of `metarl train` and of a run's frozen config."""

    env: Node
    algo: Node
    budget: BudgetConfig
    logger: Node
    meta_test: MetaTestConfig
    device: Device
    plugins: list[str]
    seed: int = at_least(0)
    threads: int = at_least(0)
    network: Node | None = None
    name: str | None = None
    tags: list[str] | None = None
    film: bool = False
    native: bool = True
    film_evals: bool = False
    curves: bool = True


@dataclass
class ResumeConfig:
    """Root of `metarl train resume=<run>`."""

    resume: str
    overrides: dict[str, Any]


@dataclass
class EvalConfig:
    """Root of `metarl eval`."""

    checkpoint: str
    min_return: float | None
    meta_test: MetaTestConfig
    output: str | None
    overrides: dict[str, Any]
    min_success: float | None = fraction()
    draw_beliefs: int = at_least(0)


@dataclass
class FilmConfig:
    """Root of `metarl film`."""

    checkpoint: str
    output: str | None
    overrides: dict[str, Any]
    task: int = at_least(0)
    frames: int = at_least(2)
    columns: int = at_least(1)


@dataclass
class CurvesConfig:
    """Root of `metarl curves`."""

    runs: list[str]


@dataclass
class BenchConfig:
    """Root of `metarl bench`."""

    env: Node
    device: Device
    plugins: list[str]
    environment: bool
    budget: Node
    meta_test: Node
    num_envs: int = at_least(1)
    seconds: float = at_least(0.01)
    rounds: int = at_least(1)
    seed: int = at_least(0)
    threads: int = at_least(0)
    algo: Node | None = None
    network: Node | None = None
    output: str | None = None
    native: bool = True


@dataclass
class ReproduceConfig:
    """Root of `metarl reproduce`."""

    rows: list[str]
    check: bool
    reference: str
    to: str
    jobs: LocalPoolConfig
    seeds: list[int] | None = None
    test_seed: int | None = at_least(0, optional=True)


@dataclass
class BenchSuiteConfig:
    """Root of `metarl bench suite`."""

    output: str
    only: list[str]
    rows: dict[str, list[str]]
    rounds: int = at_least(1)
    seconds: float = at_least(0.01)
    threads: int = at_least(0)
    against: str | None = None


@dataclass
class PublishConfig:
    """Root of `metarl publish`."""

    checkpoint: str | None
    to: str | None


@dataclass
class GalleryConfig:
    """Root of `metarl gallery`."""

    to: str


@dataclass
class ReportConfig:
    """Root of `metarl report`."""

    runs: list[str]
    to: str
    split: bool
    threshold: float = field(metadata={"minimum": 0, "maximum": 1})


@dataclass
class CompareConfig:
    """Root of `metarl compare`."""

    first: list[str]
    second: list[str]
    output: str | None
    bar: float = field(metadata={"minimum": 0, "maximum": 1})


@dataclass
class LocalPoolConfig:
    """`hydra.launcher` of a sweep with `hydra/launcher=local_pool`, and `jobs` of a search."""

    n_jobs: int = at_least(0)
    threads: int = at_least(0)
    retries: int = at_least(0)
    grace_s: float = at_least(0)
    time_limit_s: float | None = at_least(1, optional=True)


@dataclass
class SyncConfig:
    """Root of `metarl sync`."""

    runs: list[str]
    rebuild: bool
    mode: Literal["auto", "online", "offline"]
    project: str | None = None
    entity: str | None = None


@dataclass
class PruneConfig:
    """When a search gives up on a trial."""

    after_trials: int = at_least(1)
    after_evaluations: int = at_least(0)
    percentile: float | None = at_least(0, optional=True)


@dataclass
class TuneConfig:
    """Root of `metarl tune`; the settings of its runs are no part of it."""

    to: str
    seeds: list[int]
    sampler: Literal["tpe", "cmaes", "gp", "qmc", "nsga", "random"]
    prune: PruneConfig
    jobs: LocalPoolConfig
    trials: int = at_least(1)
    sampler_seed: int = at_least(0)
    random_trials: int = at_least(1)
    look_every_s: float = at_least(0.1)
    lost_after_s: float = at_least(1)


@dataclass
class TuneReportConfig:
    """Root of `metarl tune report`."""

    study: str
    to: str | None
    top: int = at_least(1)


# Sub-sections of open groups that other parts of the program read, not the class itself.
SECTIONS: dict[str, type] = {"tasks": TasksConfig, "meta_test": MetaTestConfig}
