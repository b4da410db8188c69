"""`metarl train`: meta-train an algorithm in an environment, then meta-test it.

A composition root: what a run is made of is put together here, and what happens when it ends.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from metarl_cli.commands.parts.assemble import Parts, assemble
from metarl_cli.commands.parts.continuing import FINISHED, is_finished, require_continuable, take_up
from metarl_cli.commands.parts.filming import require_drawn
from metarl_cli.commands.parts.frozen import load_best, load_config, restore, settings_of
from metarl_cli.commands.parts.outcome import film_into, show_outcome
from metarl_cli.commands.parts.processes import shared_folder, signal_of_any
from metarl_cli.commands.parts.results import print_results
from metarl_cli.commands.parts.run_curves import curves_on_request
from metarl_cli.commands.parts.run_loggers import (
    LoggersOfRun,
    RunObjects,
    build_loggers,
    no_loggers,
)
from metarl_cli.config.frozen import freeze
from metarl_cli.config.naming import in_sweep, setting_of, swept_of
from metarl_cli.core.distributed import alone, num_processes, rank, together, wait_for_all
from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.core.files import write_atomically
from metarl_cli.core.protocols import HELD_OUT, TEST, VALIDATION
from metarl_cli.core.words import setting
from metarl_cli.functional.native import kernels
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.evaluation import Evaluation, tasks_in_words
from metarl_cli.runtime.evaluator import MetaTest
from metarl_cli.runtime.find_runs import find_checkpoint
from metarl_cli.runtime.run_record import Identity, RunRecord
from metarl_cli.runtime.runs import RunFolder, environment_facts
from metarl_cli.runtime.signals import Interrupted, Interruption, exit_code, pass_on
from metarl_cli.runtime.trainer import Budget, Trainer

VALIDATION_EPISODES = 10  # adaptations at most while training; retraining takes a hundred


@dataclass
class Run:
    """A run that is about to start or to go on."""

    folder: RunFolder
    cfg: DictConfig
    known: Identity
    state: dict[str, Any] | None = None  # of the checkpoint to continue from


def run(cfg: DictConfig) -> int:
    """Start a new run, or go on with the one that a sweep or a batch system has begun.

    With the other processes that torchrun has started, if there are any.
    """
    with together():
        return _run(cfg)


def resume(cfg: DictConfig) -> int:
    """Continue a run from its newest intact checkpoint, with other processes likewise."""
    with together():
        return _resume(cfg)


def _run(cfg: DictConfig) -> int:
    run = Run(RunFolder(shared_folder()), cfg, _identity(cfg))
    parts = assemble(cfg)
    parts.require_trainable()
    parts.require_room()
    if cfg.film or cfg.film_evals:
        require_drawn(parts)
    if rank() == 0:
        with writing_into(run.folder.path):
            run.folder.path.mkdir(parents=True, exist_ok=True)
        run.folder.lock()
    if not run.folder.store().manifests():
        _freeze(run)
        return _carry_out(run, parts)
    earlier = RunRecord(run.folder.path)
    if is_finished(earlier, cfg):
        tell(f"{run.folder.path} holds this run, finished: skipped")
        return 0
    run.state = take_up(parts.algorithm, earlier)
    return _carry_out(run, parts)


def _resume(cfg: DictConfig) -> int:
    record, manifest = find_checkpoint(cfg.resume)
    folder = RunFolder(record.folder)
    if rank() == 0:
        folder.lock()
    run_cfg = settings_of(record, cfg.overrides)
    run = Run(folder, run_cfg, replace(record.identity, seed=run_cfg.seed))
    parts = assemble(run_cfg)
    parts.require_room()
    run.state = take_up(parts.algorithm, record, manifest)
    require_continuable(cfg.overrides, run.state, load_config(record).seed)
    if cfg.overrides:
        _freeze(run)
    return _carry_out(run, parts)


def _identity(cfg: DictConfig) -> Identity:
    """What a new run is called."""
    hydra = HydraConfig.get()
    choices, setting = hydra.runtime.choices, setting_of(hydra.overrides.task)
    return Identity(
        env=choices["env"],
        algo=choices["algo"],
        experiment=choices.get("experiment"),
        seed=cfg.seed,
        name=cfg.name,
        tags=list(cfg.tags or []),
        setting=setting,
        swept=swept_of(setting) if in_sweep() else None,
    )


def _freeze(run: Run) -> None:
    """Keep the settings beside the results that they lead to."""
    if rank() > 0:
        return
    with writing_into(run.folder.path):
        write_atomically(run.folder.files.config, freeze(run.cfg).encode())


def _carry_out(run: Run, parts: Parts) -> int:
    """Train, meta-test and report; return the exit code.

    Of several processes the first writes down and tests what all have learned.
    """
    wait_for_all()  # until all have read what the first will change
    first = rank() == 0
    loggers = build_loggers(run.cfg.logger, _objects(run)) if first else no_loggers()
    logger = loggers.all
    if first:
        _note_beginning(run, parts, loggers)
    trainer = _trainer(run, parts, loggers)
    status, code = "failed", 1
    try:
        with Interruption(signal_of_any if num_processes() > 1 else None) as interruption:
            _continue_from(run, trainer, parts, loggers)
            with curves_on_request(run.folder.path) if first else contextlib.nullcontext():
                trainer.run(interruption)
            if first:
                interruption.agree = None  # the others are done
                with alone(), interruption.interruptible():
                    evaluation = _final_test(run, parts, trainer, loggers)
                evaluation.require_stable()
        status, code = FINISHED, 0
    except Interrupted as interrupted:
        status, code = "interrupted", exit_code(interrupted.signum)
        typed = setting("resume", run.folder.path)
        logger.notice(f"{interrupted}; continue with: metarl train {typed}")
    finally:
        if first:
            _conclude(run, trainer, loggers, status)
    if status == FINISHED:
        if first:
            print_results(evaluation, run.folder.files.evaluation)
    elif interruption.signum is not None:
        pass_on(interruption.signum)
    return code


def _objects(run: Run) -> RunObjects:
    """What the run offers to its loggers."""
    known = run.folder.read_meta()
    config: Any = OmegaConf.to_container(run.cfg, resolve=True)
    return RunObjects(
        run_dir=run.folder.path,
        config=config,
        choices=run.known.choices,
        title=run.known.title,
        name=run.known.label,
        default_group=run.known.group,
        run_tags=run.known.labels,
        job_type="train",
        total_steps=run.cfg.budget.env_steps,
        initial_step=0 if run.state is None else run.state["sampler"]["env_steps"],
        resume=run.state is not None,
        run_ids={str(key): known.get(_id_fact(str(key))) for key in run.cfg.logger},
    )


def _id_fact(key: str) -> str:
    """Name of the fact in meta.json that says what a tracker calls the run."""
    return f"{key}_run_id"


def _note_beginning(run: Run, parts: Parts, loggers: LoggersOfRun) -> None:
    environment = environment_facts()
    if run.state is not None:
        environment = {"resumed": environment}  # what the run began with stays on record
    ids = {_id_fact(key): run_id for key, run_id in loggers.run_ids.items()}
    facts = run.known.names | environment | _bits_depend_on(parts) | ids
    run.folder.update_meta(status="running", pid=os.getpid(), **facts)


def _conclude(run: Run, trainer: Trainer, loggers: LoggersOfRun, status: str) -> None:
    """Note how the run ended; of a failed one the reason is on its way and must not be hidden."""
    steps, wall_s = trainer.sampler.env_steps, trainer.progress.wall_s
    try:
        run.folder.update_meta(status=status, env_steps=steps, wall_s=wall_s)
    except RunError as error:
        if status != "failed":
            tell(str(error))
    with contextlib.suppress(RunError) if status == "failed" else contextlib.nullcontext():
        loggers.all.close(status)


def _trainer(run: Run, parts: Parts, loggers: LoggersOfRun) -> Trainer:
    budget, record = Budget(**run.cfg.budget), loggers.record
    sampler = parts.training_sampler()

    def validate() -> MetaTest:
        result = parts.test("validation", most_episodes=VALIDATION_EPISODES, probe=False)
        if run.cfg.get("film_evals"):
            film_into(loggers.all, parts, run.known.title, sampler.env_steps, VALIDATION)
        return result

    return Trainer(
        algorithm=parts.algorithm,
        sampler=sampler,
        validate=validate,
        logger=loggers.all,
        record_position=record.position,
        store=run.folder.store(budget.keep_checkpoints),
        budget=budget,
        identity=loggers.run_ids | _bits_depend_on(parts),
        score_after=parts.score_after,
    )


def _bits_depend_on(parts: Parts) -> dict[str, Any]:
    """What of the machine decides in which order numbers are summed."""
    return {"threads": parts.threads, "processes": num_processes(), "kernels": kernels()}


def _continue_from(run: Run, trainer: Trainer, parts: Parts, loggers: LoggersOfRun) -> None:
    """Load the state to continue from, if there is one, and cut the record back to it."""
    record, logger = loggers.record, loggers.all
    if run.state is None:
        record.truncate(0)  # of an attempt that came to nothing
        return
    try:
        trainer.continue_from(run.state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"the checkpoint of {run.folder.path} is not one of metarl") from error
    if record.position() < run.state["record"]:
        logger.notice(f"{record.path} has lost rows from before the checkpoint")
    record.truncate(run.state["record"])
    then = {"threads": None, "processes": 1, "kernels": "torch"} | run.state["identity"]
    for name, now in _bits_depend_on(parts).items():
        if (before := then[name]) != now:
            logger.notice(f"resumed with {now} {name} instead of {before}: not bit-identical")


def _final_test(run: Run, parts: Parts, trainer: Trainer, loggers: LoggersOfRun) -> Evaluation:
    """Meta-test the best agent (by validation tasks) on the test tasks; publish the result."""
    state, used = load_best(RunRecord(run.folder.path))
    restore(parts.algorithm, state, used.file)
    split, logger = parts.split, loggers.all
    kind = "newest checkpoint" if used.score is None else "best checkpoint on validation tasks"
    tasks = tasks_in_words(split.num_test, same=split.same_tasks)
    logger.notice(f"meta-testing {used.file}, the {kind}, on {tasks}")
    result = parts.test("test")
    evaluation = result.evaluation(
        env=str(run.known.env),
        algo=str(run.known.algo),
        checkpoint=used.file,
        env_steps=used.env_steps,
        test_seed=run.cfg.env.tasks.test_seed,
        same_tasks=split.same_tasks,
    )
    evaluation.write(run.folder.files.evaluation)
    held_out = {HELD_OUT: float(not split.same_tasks)}
    logger.log(result.metrics(TEST) | held_out, trainer.sampler.env_steps)
    logger.artifact(trainer.store.folder / used.file, "model", ["best"])
    show_outcome(
        RunRecord(run.folder.path),
        parts,
        evaluation.table(),
        logger,
        trainer.sampler.env_steps,
        curves=run.cfg.get("curves", True),
        film=run.cfg.get("film", False),
    )
    return evaluation
