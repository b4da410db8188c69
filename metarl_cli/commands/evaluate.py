"""`metarl eval`: meta-test a checkpoint on its test tasks, held out where there are enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from metarl_cli.commands.parts.beliefs import beliefs_of, draw, require_drawable
from metarl_cli.commands.parts.frozen import load_agent, settings_of
from metarl_cli.commands.parts.results import print_results
from metarl_cli.commands.parts.run_loggers import RunObjects, build_logger
from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.core.protocols import TEST
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation
from metarl_cli.runtime.evaluator import MetaTest
from metarl_cli.runtime.find_runs import find_checkpoint
from metarl_cli.runtime.run_record import RunRecord
from metarl_cli.runtime.runs import new_folder
from metarl_cli.runtime.signals import Interrupted, Interruption, exit_code


def run(cfg: DictConfig) -> int:
    """Evaluate; exit code 1 if a threshold is not met."""
    trained, manifest = find_checkpoint(cfg.checkpoint)
    run_cfg = settings_of(trained, cfg.overrides)
    for key, value in cfg.meta_test.items():
        run_cfg.meta_test[key] = run_cfg.meta_test.get(key) if value is None else value
    parts, used, source = load_agent(trained, manifest, run_cfg)
    require_drawable(parts, cfg.draw_beliefs)
    try:
        with Interruption() as interruption, interruption.interruptible():
            result = parts.test("test")
            beliefs = beliefs_of(parts) if cfg.draw_beliefs else None
    except Interrupted as interrupted:
        return exit_code(interrupted.signum)
    identity = trained.identity
    evaluation = result.evaluation(
        env=str(identity.env),
        algo=str(identity.algo),
        checkpoint=source,
        env_steps=used.env_steps,
        test_seed=run_cfg.env.tasks.test_seed,
        same_tasks=parts.split.same_tasks,
    )
    if beliefs:
        agreement = beliefs.agreement()
        evaluation = replace(
            evaluation,
            belief_kl=agreement.get("belief_kl"),
            belief_error=agreement.get("belief_error"),
        )
    name = f"{identity.env}-{identity.algo}"
    path = Path(cfg.output) if cfg.output else new_folder("eval", name) / "eval.json"
    try:
        _write(path, evaluation)
    except (UserError, RunError):
        print_results(evaluation)  # a full disk is no reason to lose what was measured
        raise
    _mirror(run_cfg, trained, result, used.env_steps, path)
    print_results(evaluation, path)
    if beliefs:
        folder = path.parent / "beliefs"
        draw(beliefs, folder, cfg.draw_beliefs, title=identity.title, parts=parts)
    evaluation.require_stable()
    return _judge(cfg, evaluation.last)


def _write(path: Path, evaluation: Evaluation) -> None:
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    evaluation.write(path)


def _mirror(
    cfg: DictConfig, trained: RunRecord, result: MetaTest, env_steps: int, path: Path
) -> None:
    """Log the result to W&B beside the training run, if that run was logged there."""
    identity = trained.identity
    if "wandb" not in cfg.logger or not identity.wandb_run_id:
        return
    config = {"run": OmegaConf.to_container(cfg), "trained_by": identity.wandb_run_id}
    logger = build_logger(
        cfg.logger.wandb,
        RunObjects(
            run_dir=path.parent,
            config=config,
            name=f"eval-{identity.label}",
            default_group=identity.group,
            choices=identity.choices,
            run_tags=identity.labels,
            job_type="eval",
            title=identity.title,
            total_steps=env_steps,
        ),
    )
    logger.log(result.metrics(TEST), env_steps)
    logger.close("finished")


def _judge(cfg: DictConfig, last: EpisodeRow) -> int:
    """Compare the return and the success after the last adaptation with the thresholds."""
    reached = last.online.mean
    if cfg.min_return is not None and reached < cfg.min_return:
        tell(f"return {reached:.2f} is below min_return={cfg.min_return}")
        return 1
    if cfg.min_success is not None:
        if last.success is None:
            raise UserError("min_success: this environment does not define success")
        if last.success < cfg.min_success:
            tell(f"success {last.success:.3f} is below min_success={cfg.min_success}")
            return 1
    return 0
