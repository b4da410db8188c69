import json

from metarl_cli.reports.tables import reference_table


def test_a_row_names_command_cost_and_curves(tmp_path):
    run = tmp_path / "point_nav-maml"
    run.mkdir()
    episodes = [
        {"online": {"mean": -40.0}, "probe": {"mean": -38.04}},
        {"online": {"mean": -11.72}, "probe": {"mean": -9.0}},
    ]
    (run / "eval.json").write_text(json.dumps({"env_steps": 4_000_000, "episodes": episodes}))
    meta = {
        "command": ["metarl", "train", "env=point_nav"],
        "wall_s": 301.0,
        "env_steps": 16_000_000,
        "commit": "abc",
    }
    (run / "meta.json").write_text(json.dumps(meta))
    row = reference_table(tmp_path).splitlines()[-1]
    assert row == (
        "| **point_nav-maml**<br>`metarl train env=point_nav` "
        "| 1.6e+07 steps, 5 min; tested at 4e+06 "
        "| -40.0 / -11.7 | -38.0 / -9.0 | abc |"
    )
