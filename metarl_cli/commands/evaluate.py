"""`metarl eval`: meta-test a checkpoint on held-out tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from metarl_cli.commands.beliefs import beliefs_of, draw, require_drawable
from metarl_cli.commands.frozen import load_agent, settings_of
from metarl_cli.commands.results import eval_document, print_results
from metarl_cli.config.build import build
from metarl_cli.core.errors import RunError, UserError, writing_into
from metarl_cli.loggers.notices import tell
from metarl_cli.runtime.checkpoint import write_json
from metarl_cli.runtime.evaluator import MetaTest
from metarl_cli.runtime.runs import find_checkpoint, new_folder
from metarl_cli.runtime.signals import Interrupted, Interruption, exit_code


def run(cfg: DictConfig) -> int:
    """Evaluate; exit code 1 if a threshold is not met."""
    folder, manifest = find_checkpoint(cfg.checkpoint)
    run_cfg = settings_of(folder, cfg.overrides)
    for key, value in cfg.meta_test.items():
        run_cfg.meta_test[key] = run_cfg.meta_test.get(key) if value is None else value
    parts, used, source = load_agent(folder, manifest, run_cfg)
    require_drawable(parts, cfg.draw_beliefs)
    try:
        with Interruption() as interruption, interruption.interruptible():
            result = parts.test("test")
            beliefs = beliefs_of(parts) if cfg.draw_beliefs else None
    except Interrupted as interrupted:
        return exit_code(interrupted.signum)
    meta = folder.read_meta()
    env, algo = str(meta.get("env")), str(meta.get("algo"))
    document = eval_document(env, algo, source, used.env_steps, run_cfg, result)
    document |= beliefs.agreement() if beliefs else {}
    path = Path(cfg.output) if cfg.output else new_folder("eval", f"{env}-{algo}") / "eval.json"
    try:
        _write(path, document)
    except (UserError, RunError):
        print_results(document)  # a full disk is no reason to lose what was measured
        raise
    _mirror(run_cfg, meta, result, used.env_steps, path)
    print_results(document, path)
    if beliefs:
        title = f"{algo} on {env}"
        draw(beliefs, path.parent / "beliefs", cfg.draw_beliefs, title=title)
    return _judge(cfg, document["episodes"][-1])


def _write(path: Path, document: dict[str, Any]) -> None:
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, document)


def _mirror(
    cfg: DictConfig, meta: dict[str, Any], result: MetaTest, env_steps: int, path: Path
) -> None:
    """Log the result to W&B beside the training run, if that run was logged there."""
    if "wandb" not in cfg.logger or not meta.get("wandb_run_id"):
        return
    logger = build(
        cfg.logger.wandb,
        run_dir=path.parent,
        config={"run": OmegaConf.to_container(cfg), "trained_by": meta["wandb_run_id"]},
        name=f"eval-{meta.get('algo')}-{meta.get('env')}",
        default_group=f"{meta.get('env')}/{meta.get('algo')}",
        job_type="eval",
    )
    logger.log(result.metrics(), env_steps)
    logger.close("finished")


def _judge(cfg: DictConfig, last: dict[str, Any]) -> int:
    """Compare the return and the success after the last adaptation with the thresholds."""
    reached = last["online"]["mean"]
    if cfg.min_return is not None and reached < cfg.min_return:
        tell(f"return {reached:.2f} is below min_return={cfg.min_return}")
        return 1
    if cfg.min_success is not None:
        if last["success"] is None:
            raise UserError("min_success: this environment does not define success")
        if last["success"] < cfg.min_success:
            tell(f"success {last['success']:.3f} is below min_success={cfg.min_success}")
            return 1
    return 0
