"""Digests of three iterations of every algorithm: does a change move any bit?

    git stash; python tests/bits.py write before.json; git stash pop
    python tests/bits.py write after.json
    python tests/bits.py compare before.json after.json

Both on one machine: other processors and libraries round in other ways. Words after the file name
choose cases: `write after.json rl2 pearl-walker`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch

from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose

CASES = {
    "maml-point_nav": "experiment=maml/point_nav algo.num_tasks=4 algo.envs_per_task=5",
    "maml-cheetah_vel": "env=cheetah_vel algo=maml algo.num_tasks=3 algo.envs_per_task=3 "
    "algo.inner.steps=2 env.horizon=20",
    "maml-nav2d": "env=nav2d algo=maml algo.num_tasks=3 algo.envs_per_task=3 algo.first_order=true",
    "fomaml-point_nav": "env=point_nav algo=fomaml algo.num_tasks=4 algo.envs_per_task=5",
    "emaml-point_nav": "env=point_nav algo=emaml algo.num_tasks=4 algo.envs_per_task=5",
    "cavia-point_nav": "env=point_nav algo=cavia algo.num_tasks=4 algo.envs_per_task=5",
    "maesn-point_nav": "env=point_nav algo=maesn algo.num_tasks=4 algo.envs_per_task=5",
    "maesn-semicircle": "env=point_semicircle algo=maesn algo.num_tasks=4 algo.envs_per_task=5 "
    "algo.inner.steps=2 algo.dense_training=true env.goal_radius=1",
    "llama-point_nav": "env=point_nav algo=llama algo.num_tasks=4 algo.envs_per_task=5",
    "promp-point_nav": "env=point_nav algo=promp algo.num_tasks=4 algo.envs_per_task=5",
    "reptile-point_nav": "env=point_nav algo=reptile algo.num_tasks=4 algo.envs_per_task=5",
    "rl2-bandit": "experiment=rl2/bernoulli_bandit algo.num_tasks=16",
    "rl2-gridnavi": "experiment=rl2/gridnavi algo.num_tasks=16",
    "rl2-cheetah_dir": "experiment=rl2/cheetah_dir algo.num_tasks=6 env.horizon=20",
    "rl2-hopper": "env=hopper_params algo=rl2 network=lstm algo.num_tasks=6 env.horizon=40",
    "rl2-transformer": "env=gridnavi algo=rl2 network=transformer algo.num_tasks=6",
    "rl2-sign_nav": "env=sign_nav algo=rl2 algo.episodes=2 algo.num_tasks=4 env.horizon=8",
    "multitask-point_nav": "env=point_nav algo=multitask_ppo algo.num_tasks=4",
    "multitask-maze3d": "env=maze3d algo=multitask_ppo algo.num_tasks=4 env.horizon=10",
    "oracle-walker": "env=walker_params algo=oracle algo.num_tasks=4 env.horizon=30",
    "scratch-point_nav": "env=point_nav algo=scratch_ppo algo.num_tasks=4",
    "scratch-gridnavi": "env=gridnavi algo=scratch_ppo algo.num_tasks=4",
    "task_inference-gridnavi": "experiment=task_inference/gridnavi algo.num_tasks=16",
    "task_inference-point_nav": "env=point_nav algo=task_inference algo.num_tasks=6 env.horizon=20",
    "varibad-gridnavi": "experiment=varibad/gridnavi algo.num_tasks=16 algo.elbo.warmup_steps=1000",
    "varibad-walker": "experiment=varibad/walker_params algo.num_tasks=4 env.horizon=20",
    "varibad-semicircle": "experiment=varibad/point_semicircle algo.num_tasks=4",
    "hyperx-semicircle": "experiment=hyperx/point_semicircle algo.num_tasks=4",
    "import-maze2d": "experiment=import/maze2d algo.num_tasks=12",
    "pearl-cheetah_vel": "experiment=pearl/cheetah_vel env.horizon=30 algo.num_tasks=4 "
    "algo.gradient_steps=3 algo.collection.warmup_steps=10 algo.meta_batch=4",
    "pearl-semicircle": "experiment=pearl/point_semicircle env.horizon=20 algo.num_tasks=4 "
    "algo.gradient_steps=3 algo.collection.warmup_steps=10",
    "pearl-walker": "env=walker_params algo=pearl env.horizon=60 algo.num_tasks=4 "
    "algo.gradient_steps=3 algo.collection.warmup_steps=10 algo.next_obs_in_context=true",
    "dream-bus_city": "experiment=dream/bus_city algo.num_tasks=6 algo.q_learning.min_trials=6",
    "dream-sign_nav": "experiment=dream/sign_nav algo.num_tasks=4 env.horizon=12 "
    "algo.q_learning.min_trials=4 algo.q_learning.buffer_trials=16 algo.q_learning.batch=4",
    "dream-cooking": "env=cooking algo=dream algo.num_tasks=6 algo.q_learning.min_trials=6",
}
ALWAYS = "seed=0 threads=1 meta_test.envs_per_task=1 logger=[]"


def digest(*tensors):
    sha = hashlib.sha256()
    for x in tensors:
        sha.update(x.detach().cpu().contiguous().float().numpy().tobytes())
    return sha.hexdigest()[:16]


def run(case):
    """Metrics of three iterations, and digests of what came of them, however parts are called."""
    cfg = compose("train", [*CASES[case].split(), *ALWAYS.split()])
    cfg.env.tasks.num_test = min(3, cfg.env.tasks.num_test)
    check(cfg)
    parts = assemble(cfg)
    sampler = parts.training_sampler()
    rows = [parts.algorithm.train_step(sampler) or {} for _ in range(3)]
    modules = [p for p in parts.algorithm.learned().values() if isinstance(p, torch.nn.Module)]
    test = parts.test("test", most_episodes=2)
    return {
        "rows": [{key: float(x).hex() for key, x in sorted(row.items())} for row in rows],
        "parameters": sorted(digest(p) for module in modules for p in module.parameters()),
        "test": digest(test.online, test.probe),
        "random": digest(torch.get_rng_state()),
    }


def write(path, *words):
    chosen = [case for case in CASES if not words or any(word in case for word in words)]
    Path(path).write_text(json.dumps({case: run(case) for case in chosen}, indent=1))
    return f"{len(chosen)} cases in {path}"


def compare(before, after):
    old, new = (json.loads(Path(path).read_text()) for path in (before, after))
    moved = {
        case: [key for key in new[case] if new[case][key] != old.get(case, {}).get(key)]
        for case in new
    }
    lines = [f"{case}: {', '.join(keys)} moved" for case, keys in moved.items() if keys]
    return "\n".join([*lines, f"{len(new) - len(lines)} of {len(new)} identical"])


if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["help"]
    said = {"write": write, "compare": compare}.get(command, lambda *_: __doc__)(*arguments)
    sys.stdout.write(f"{said}\n")
