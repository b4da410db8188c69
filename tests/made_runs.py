"""Run folders with scores that a test has chosen, as finished trainings would have left them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metarl_cli.config.compose import compose
from metarl_cli.config.frozen import freeze
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval, TaskRow

Curve = Sequence[tuple[float, float, float]]  # environment steps, validation score, seconds


def evaluation(
    returns: Any, *, algo: str = "maml", env_steps: int = 1000, test_seed: int = 0
) -> Evaluation:
    """A meta-test with these returns.

    Args:
        returns: `[tasks]` after all adaptations, or `[episodes, tasks]`.
        algo: that was tested.
        env_steps: of the checkpoint.
        test_seed: other seeds make other tasks.
    """
    table = np.atleast_2d(np.asarray(returns, float))
    tasks = [
        TaskRow([float(test_seed), float(i)], online=x.tolist()) for i, x in enumerate(table.T)
    ]
    means = [float(row.mean()) for row in table]
    return Evaluation(
        env="point_nav",
        algo=algo,
        checkpoint="ckpt.pt",
        env_steps=env_steps,
        test_seed=test_seed,
        num_tasks=len(tasks),
        same_tasks=False,
        envs_per_task=2,
        test_env_steps=0,
        episodes=[EpisodeRow(i, Interval(x, x - 1, x + 1)) for i, x in enumerate(means)],
        tasks=tasks,
    )


def make_run(
    folder: Path,
    returns: Any,
    *,
    algo: str = "maml",
    seed: int = 0,
    settings: tuple[str, ...] = (),
    curve: Curve = (),
    trained: int = 1000,
    test_seed: int = 0,
) -> Path:
    """Write a run on point_nav; its best checkpoint is the one of step 1000."""
    folder.mkdir(parents=True)
    config = _config(algo, settings).replace(f"seed: {SEED}", f"seed: {seed}")
    (folder / "config.yaml").write_text(config)
    evaluation(returns, algo=algo, test_seed=test_seed).write(folder / "eval.json")
    facts = {"status": "finished", "env": "point_nav", "algo": algo, "seed": seed}
    facts |= {"env_steps": trained, "wall_s": 60.0, "command": ["train", f"seed={seed}"]}
    (folder / "meta.json").write_text(json.dumps(facts))
    rows = [{"env_steps": x, "eval/score": y, "time/wall_s": t} for x, y, t in curve]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def make_sweep(
    folder: Path, scores: Any, *, curves: Sequence[Curve] | None = None, **options: Any
) -> Path:
    """Write a run for each row of `[seeds, tasks]`, or of `[seeds, episodes, tasks]`."""
    for seed, returns in enumerate(scores):
        curve = curves[seed] if curves else ()
        make_run(folder / f"s{seed}", returns, seed=seed, curve=curve, **options)
    return folder


SEED = 31_415  # stands for the seed in a composed configuration


@cache
def _config(algo: str, settings: tuple[str, ...]) -> str:
    chosen = ["env=point_nav", f"algo={algo}", f"seed={SEED}", *settings]
    return freeze(compose("train", chosen))
