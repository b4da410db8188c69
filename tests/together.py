"""What iterations of every algorithm that shares tasks lead to, in one process or in several.

    python tests/together.py alone.pt
    torchrun --nproc-per-node=2 tests/together.py both.pt

Each process writes a file with its number in the name. Words after the file name choose cases.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.core import tree
from metarl_cli.core.distributed import average_metrics, rank, together

SMALL = "seed=0 threads=1 logger=[] env.tasks.num_test=2 algo.num_tasks=4"
PEARL = "algo.gradient_steps=3 algo.collection.warmup_steps=10 algo.batch=32"
MAML = "env=point_nav env.horizon=20 algo.envs_per_task=5"
# With more damping than by default: on so few samples ten iterations of conjugate gradient blow
# rounding up to a tenth of the step, in one process as well, if a last bit of a parameter differs.
TRPO = "algo.trpo.cg_damping=0.1"
CASES = {
    "maml": f"{MAML} algo=maml {TRPO}",
    "rl2": "env=gridnavi algo=rl2",
    "varibad": "env=gridnavi algo=varibad algo.elbo.warmup_steps=0",
    "pearl": f"env=point_semicircle algo=pearl env.horizon=20 env.tasks.mode=finite {PEARL}",
    "fomaml": f"{MAML} algo=fomaml {TRPO}",
    "cavia": f"{MAML} algo=cavia {TRPO}",
    "emaml": f"{MAML} algo=emaml {TRPO}",
    "llama": f"{MAML} algo=llama {TRPO}",
    "maesn": f"{MAML} algo=maesn env.tasks.mode=finite {TRPO}",
    "promp": f"{MAML} algo=promp",
    "reptile": f"{MAML} algo=reptile",
    "multitask_ppo": f"{MAML} algo=multitask_ppo",
    "maml-cheetah": "experiment=maml/cheetah_vel env.horizon=20 algo.envs_per_task=5",
    # Episodes end early, at different times: one process has rows at work when the other has none
    "rl2-hopper": "env=hopper_params algo=rl2 env.horizon=40",
    "pearl-hopper": f"env=hopper_params algo=pearl env.horizon=40 {PEARL}",
}
ITERATIONS = 2


def tensors(state: Any, name: str = "") -> dict[str, Tensor]:
    """All floating-point tensors in nested dicts and lists, by dotted names."""
    if isinstance(state, Tensor):
        return {name: state.detach().clone()} if state.is_floating_point() else {}
    if not isinstance(state, dict | list | tuple):
        return {}
    items = state.items() if isinstance(state, dict) else enumerate(state)
    return {k: x for key, below in items for k, x in tensors(below, f"{name}.{key}").items()}


def flat(named: dict[str, Tensor]) -> Tensor:
    """All numbers in one vector."""
    return torch.cat([named[name].flatten() for name in sorted(named)])


def run(case: str) -> dict[str, Any]:
    """What is learned before, after the first and after all iterations, and what else there is."""
    cfg = compose("train", [*SMALL.split(), *CASES[case].split()])
    check(cfg)
    parts = assemble(cfg)
    sampler = parts.training_sampler()

    def learned() -> dict[str, Tensor]:
        states = {name: x.state_dict() for name, x in parts.algorithm.learned().items()}
        return tensors({name: x for name, x in states.items() if "optimizer" not in name})

    before, first, rows = learned(), {}, []
    for _ in range(ITERATIONS):
        rows.append(average_metrics(parts.algorithm.train_step(sampler) or {}))
        first = first or learned()
    kept = parts.algorithm.experience()
    return {
        "before": before,
        "first": first,
        "last": learned(),
        "rows": rows,
        "sampler": sampler.state_dict(),
        "random": torch.get_rng_state(),
        "experience": tensors({name: tree.plain(x.state_dict()) for name, x in kept.items()}),
    }


def main(path: str, *words: str) -> None:
    """Run the cases whose names are among the words, or all; write one file for each process."""
    with together():
        seen = {case: run(case) for case in words or CASES}
        torch.save(seen, Path(path).with_suffix(f".{rank()}.pt"))


if __name__ == "__main__":
    main(*sys.argv[1:])
