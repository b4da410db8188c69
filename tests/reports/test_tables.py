import json

from metarl_cli.reports.tables import reference_table
from metarl_cli.runtime.run_record import RunRecord


def cell(mean):
    return {"mean": mean, "low": mean, "high": mean}


def test_a_row_names_command_cost_and_curves(tmp_path):
    run = tmp_path / "point_nav-maml"
    run.mkdir()
    episodes = [
        {"index": 0, "online": cell(-40.0), "probe": cell(-38.04)},
        {"index": 1, "online": cell(-11.72), "probe": cell(-9.0)},
    ]
    names = {"env": "point_nav", "algo": "maml", "checkpoint": "c", "tasks": []}
    counts = {"test_seed": 1, "num_tasks": 4, "envs_per_task": 1, "test_env_steps": 8}
    measured = {"env_steps": 4_000_000, "episodes": episodes, **names, **counts}
    (run / "eval.json").write_text(json.dumps(measured))
    meta = {
        "command": ["metarl", "train", "env=point_nav"],
        "wall_s": 301.0,
        "env_steps": 16_000_000,
        "commit": "abc",
    }
    (run / "meta.json").write_text(json.dumps(meta))
    row = reference_table([RunRecord(run)]).splitlines()[-1]
    assert row == (
        "| **point_nav-maml**<br>`metarl train env=point_nav` "
        "| 1.6e+07 steps, 5 min; tested at 4e+06 "
        "| -40.0 / -11.7 | -38.0 / -9.0 | abc |"
    )
