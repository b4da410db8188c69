import io

from rich.console import Console

from metarl_cli.commands.parts.results import results_table, verdict
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval


def episodes(*online, info=None, success=None):
    return [
        EpisodeRow(k, interval(x), interval(x + 1), success, info or {})
        for k, x in enumerate(online)
    ]


def interval(mean):
    return Interval(mean, mean - 10, mean + 10)


def printed(rows, *, same_tasks=False):
    names = {"env": "e", "algo": "a", "checkpoint": "c", "episodes": rows, "tasks": []}
    counts = {"num_tasks": 3, "envs_per_task": 2, "env_steps": 0, "test_env_steps": 0}
    document = Evaluation(**names, **counts, test_seed=0, same_tasks=same_tasks)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(results_table(document))
    return console.export_text()


def test_table_without_success_fits_80_columns_and_shows_physical_info_only():
    text = printed(episodes(-144.4, -95.4, info={"velocity": 0.952, "reward_goal": -0.5}))
    assert "-144.4 [-154, -134]" in text and "-95.4 [-105.4, -85.4]" in text
    assert "velocity" in text and "reward" not in text and "success" not in text


def test_success_is_a_percentage():
    assert "25%" in printed(episodes(-1.0, success=0.25))


def test_a_long_adaptation_is_thinned_but_keeps_its_ends():
    text = printed(episodes(*(float(-k) for k in range(101))))
    rows = [line for line in text.splitlines() if "[" in line and "│" in line]
    assert len(rows) == 12 and " 0 │" in rows[0] and " 100 │" in rows[-1]


def test_verdict_says_what_adaptation_changed():
    assert verdict(episodes(-150.0, -110.0, -95.0)) == (
        "Adaptation: return -150.0 before, -110.0 after 1 step (+40.0), -95.0 after 2 (+55.0)."
    )
    assert verdict(episodes(-150.0)) == "Return without adaptation: -150.0."


def test_title_says_held_out_only_where_the_tasks_are():
    assert "a on e: 3 held-out tasks, 2 episodes each" in printed(episodes(-1.0))
    assert "a on e: 3 test tasks" in printed(episodes(-1.0), same_tasks=None)
    same = " ".join(printed(episodes(-1.0), same_tasks=True).split())
    assert "the same 3 tasks as in training" in same and "held-out" not in same


def test_without_probes_their_column_stays_empty():
    rows = [EpisodeRow(0, interval(-1.0))]
    (line,) = (line for line in printed(rows).splitlines() if "[" in line and "│" in line)
    assert line.split("│")[-2].strip() == "-"
