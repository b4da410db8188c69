"""A search, put together from its settings and run until it is done or told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, NopPruner

from metarl_cli.config.compose import compose
from metarl_cli.core.errors import RunError, UserError
from metarl_cli.core.words import setting
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.signals import Interruption, exit_code
from metarl_cli.sweeps.jobs import Limits
from metarl_cli.sweeps.pool import Pool
from metarl_cli.sweeps.table import SweepDisplay
from metarl_cli.sweeps.tuning.pruning import MedianOverSeeds
from metarl_cli.sweeps.tuning.report import report
from metarl_cli.sweeps.tuning.samplers import require_sampler
from metarl_cli.sweeps.tuning.search import Search
from metarl_cli.sweeps.tuning.space import Space, parse_space
from metarl_cli.sweeps.tuning.study import Plan, Proposals, Study
from metarl_cli.sweeps.tuning.workers import Workers


def search(cfg: DictConfig, words: Sequence[str]) -> int:
    """Work on a study; return the exit code.

    Args:
        cfg: as `TuneConfig` says.
        words: settings and ranges of the runs; none: those that the study has.
    """
    require_sampler(cfg.sampler)
    if cfg.lost_after_s < 3 * cfg.look_every_s:  # a process shows that it is there at each look
        raise UserError(f"lost_after_s must be at least 3 x look_every_s, got {cfg.lost_after_s}")
    folder = Path(cfg.to)
    plan = _plan(folder, cfg, words)
    space = parse_space(plan.words)
    _require_composable(space)
    study = Study(folder, _pruner(cfg.prune))
    study.agree_on(plan)
    if len(study.trials) >= cfg.trials and all(t.state.is_finished() for t in study.trials):
        tell(f"{folder} has its {len(study.trials)} trials; to add some: trials=<more>")
        return report(folder)
    workers = Workers(folder / "workers", lost_after_s=cfg.lost_after_s)
    try:
        stopped_by = _work(cfg, study, plan, space, workers)
    finally:
        workers.leave()
    if stopped_by is not None:
        tell(f"stopped; go on with: metarl tune {setting('to', folder)} trials={cfg.trials}")
        return exit_code(stopped_by)
    return _conclude(study)


def _work(cfg: DictConfig, study: Study, plan: Plan, space: Space, workers: Workers) -> int | None:
    """Search; return the signal that has ended it, if one has."""
    limits = Limits(**OmegaConf.to_container(cfg.jobs))  # type: ignore[arg-type]
    proposals = Proposals(cfg.sampler, cfg.sampler_seed, cfg.random_trials)
    with Interruption() as interruption, SweepDisplay() as display, Pool(limits) as pool:
        Search(
            study=study,
            plan=plan,
            space=space,
            workers=workers,
            proposals=proposals,
            trials=cfg.trials,
            pool=pool,
            look_every_s=cfg.look_every_s,
            say=tell,
            watch=display,
        ).run(interruption)
    return interruption.signum


def _conclude(study: Study) -> int:
    """Say what was found, if nobody else is still at work on the study."""
    others = [str(trial.number) for trial in study.trials if not trial.state.is_finished()]
    if others:
        tell(f"nothing left to begin; other processes are at work on {', '.join(others)}")
        return 0
    if study.best is None:
        raise RunError(f"no trial of {study.folder} has a score: see its trials/*/*.log")
    return report(study.folder)


def _plan(folder: Path, cfg: DictConfig, words: Sequence[str]) -> Plan:
    """Return what to search: as typed, or what the study in the folder is about."""
    seeds = tuple(cfg.seeds)
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UserError(f"seeds={list(seeds)}: name different numbers, 0 or above")
    if words:
        return Plan(tuple(words), seeds)
    if (folder / "journal.log").is_file() and (known := Study(folder).plan) is not None:
        return known
    raise UserError(
        "nothing to search: name settings of the runs and a range, "
        "e.g. experiment=maml/point_nav algo.inner.step_size='tag(log,interval(0.001,1))'"
    )


def _pruner(prune: DictConfig) -> BasePruner:
    if prune.percentile is None:
        return NopPruner()
    return MedianOverSeeds(**OmegaConf.to_container(prune))  # type: ignore[arg-type]


def _require_composable(space: Space) -> None:
    """Refuse wrong names before anything is begun: compose with the first value of each range.

    And with every option of a choice, one choice after the other.
    """
    options = {key: _options(distribution) for key, distribution in space.searched.items()}
    first = {key: values[0] for key, values in options.items()}
    compose("train", space.words(first))
    for key, values in options.items():
        for value in values[1:]:
            compose("train", space.words(first | {key: value}))


def _options(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low]
