"""`metarl train`: meta-train an algorithm in an environment, then meta-test it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from metarl_cli.commands.assemble import Parts, assemble
from metarl_cli.commands.frozen import load_best, load_checkpoint, restore, settings_of
from metarl_cli.commands.results import eval_document, print_results
from metarl_cli.config.build import build
from metarl_cli.config.frozen import freeze
from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.core.protocols import HELD_OUT
from metarl_cli.loggers.fanout import Fanout
from metarl_cli.loggers.jsonl import JsonlLogger
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.checkpoint import write_atomically, write_json
from metarl_cli.runtime.runs import RunFolder, environment_facts, find_checkpoint
from metarl_cli.runtime.signals import Interrupted, Interruption, exit_code
from metarl_cli.runtime.trainer import Budget, Trainer

VALIDATION_EPISODES = 10  # adaptations at most while training; retraining takes a hundred


@dataclass
class Run:
    """A run that is about to start or to go on."""

    folder: RunFolder
    cfg: DictConfig
    env: str
    algo: str
    state: dict[str, Any] | None = None  # of the checkpoint to continue from

    @property
    def title(self) -> str:
        """Short name, `maml on cheetah_vel`."""
        return f"{self.algo} on {self.env}"


def run(cfg: DictConfig) -> int:
    """Start a new run."""
    hydra = HydraConfig.get().runtime
    choices = hydra.choices
    run = Run(RunFolder(Path(hydra.output_dir)), cfg, choices["env"], choices["algo"])
    parts = assemble(cfg)
    with writing_into(run.folder.path):
        run.folder.path.mkdir(parents=True, exist_ok=True)
    run.folder.lock()
    if run.folder.store().manifests():
        raise UserError(f"{run.folder.path} holds a run; continue it with resume={run.folder.path}")
    _freeze(run)
    return _carry_out(run, parts)


def resume(cfg: DictConfig) -> int:
    """Continue a run from its newest intact checkpoint."""
    folder, manifest = find_checkpoint(cfg.resume)
    folder.lock()
    run_cfg = settings_of(folder, cfg.overrides)
    meta = folder.read_meta()
    state, used = load_checkpoint(folder, manifest)
    run = Run(folder, run_cfg, str(meta.get("env")), str(meta.get("algo")), state)
    parts = assemble(run_cfg)
    restore(parts.algorithm, state, str(folder.store().folder / used.file))
    if cfg.overrides:
        _freeze(run)
    return _carry_out(run, parts)


def _freeze(run: Run) -> None:
    """Keep the settings beside the results that they lead to."""
    with writing_into(run.folder.path):
        write_atomically(run.folder.config, freeze(run.cfg).encode())


def _carry_out(run: Run, parts: Parts) -> int:
    """Train, meta-test and report; return the exit code."""
    record, logger, wandb_id = _loggers(run)
    names = {"env": run.env, "algo": run.algo, "seed": run.cfg.seed}
    environment = environment_facts()
    if run.state is not None:
        environment = {"resumed": environment}  # what the run began with stays on record
    facts = names | environment | {"threads": parts.threads, "wandb_run_id": wandb_id}
    run.folder.update_meta(status="running", **facts)
    trainer = _trainer(run, parts, logger, record, {"wandb": wandb_id, "threads": parts.threads})
    status, code = "failed", 1
    try:
        with Interruption() as interruption:
            _continue_from(run, trainer, parts.threads, logger, record)
            trainer.run(interruption)
            with interruption.interruptible():
                document = _final_test(run, parts, trainer, logger)
        status, code = "finished", 0
    except Interrupted as interrupted:
        status, code = "interrupted", exit_code(interrupted.signum)
        logger.notice(f"{interrupted}; continue with: metarl train resume={run.folder.path}")
    finally:
        _conclude(run, trainer, logger, status)
    if status == "finished":
        print_results(document, run.folder.eval)
    return code


def _conclude(run: Run, trainer: Trainer, logger: Fanout, status: str) -> None:
    """Note how the run ended; of a failed one the reason is on its way and must not be hidden."""
    steps, wall_s = trainer.sampler.env_steps, trainer.progress.wall_s
    try:
        run.folder.update_meta(status=status, env_steps=steps, wall_s=wall_s)
    except RunError as error:
        tell(str(error))
    with contextlib.suppress(RunError) if status == "failed" else contextlib.nullcontext():
        logger.close(status)


def _loggers(run: Run) -> tuple[JsonlLogger | None, Fanout, str | None]:
    """Build the chosen loggers: the record (if any), all of them together, and the W&B id."""
    cfg, meta = run.cfg, run.folder.read_meta()
    runtime: dict[str, dict[str, Any]] = {
        "console": {
            "total_steps": cfg.budget.env_steps,
            "title": run.title,
            "initial_step": 0 if run.state is None else run.state["sampler"]["env_steps"],
        },
        "jsonl": {"path": run.folder.record},
        "wandb": {
            "run_dir": run.folder.path,
            "config": OmegaConf.to_container(cfg, resolve=True),
            "name": f"{run.algo}-{run.env}-s{cfg.seed}",
            "default_group": f"{run.env}/{run.algo}",
            "job_type": "train",
            "run_id": meta.get("wandb_run_id"),
            "resume": run.state is not None,
        },
    }
    for name, node in cfg.logger.items():
        if name not in runtime and str(node.get("_target_")).startswith("metarl_cli."):
            raise UserError(f"logger.{name}: ours are {', '.join(runtime)}, each under its own key")
    built = {name: build(node, **runtime.get(name, {})) for name, node in cfg.logger.items()}
    record = next((x for x in built.values() if isinstance(x, JsonlLogger)), None)
    wandb_id = getattr(built.get("wandb"), "run_id", None)
    return record, Fanout(list(built.values())), wandb_id


def _trainer(
    run: Run,
    parts: Parts,
    logger: Fanout,
    record: JsonlLogger | None,
    identity: dict[str, Any],
) -> Trainer:
    budget = Budget(**run.cfg.budget)
    return Trainer(
        algorithm=parts.algorithm,
        sampler=parts.training_sampler(),
        validate=lambda: parts.test("validation", most_episodes=VALIDATION_EPISODES, probe=False),
        logger=logger,
        record_position=record.position if record else lambda: 0,
        store=run.folder.store(budget.keep_checkpoints),
        budget=budget,
        identity=identity,
    )


def _continue_from(
    run: Run, trainer: Trainer, threads: int, logger: Fanout, record: JsonlLogger | None
) -> None:
    """Load the state to continue from, if there is one, and cut the record back to it."""
    if run.state is None:
        if record:
            record.truncate(0)  # of an attempt that came to nothing
        return
    try:
        trainer.continue_from(run.state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"the checkpoint of {run.folder.path} is not one of metarl") from error
    if record:
        if record.position() < run.state["record"]:
            logger.notice(f"{run.folder.record} has lost rows from before the checkpoint")
        record.truncate(run.state["record"])
    if (then := run.state["identity"].get("threads")) != threads:
        logger.notice(f"resumed with {threads} threads instead of {then}: not bit-identical")


def _final_test(run: Run, parts: Parts, trainer: Trainer, logger: Fanout) -> dict[str, Any]:
    """Meta-test the best agent (by validation tasks) on the held-out tasks; publish the result."""
    state, used = load_best(run.folder)
    restore(parts.algorithm, state, used.file)
    kind = "newest checkpoint" if used.score is None else "best checkpoint on validation tasks"
    logger.notice(f"meta-testing {used.file}, the {kind}")
    result = parts.test("test")
    document = eval_document(run.env, run.algo, used.file, used.env_steps, run.cfg, result)
    write_json(run.folder.eval, document)
    logger.log(result.metrics() | {HELD_OUT: 1.0}, trainer.sampler.env_steps)
    logger.artifact(trainer.store.folder / used.file, "model", ["best"])
    return document
