from matplotlib.image import imread

from metarl_cli.reports.figures import run_figure
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval


def cell(mean):
    return Interval(mean, mean - 1.0, mean + 2.0)


def test_the_figure_of_a_run_is_written_and_not_blank(tmp_path):
    record = [
        {
            "env_steps": s,
            "train/return_0": -s,
            "train/return_1": -s / 2,
            "eval/online_0": -3.0,
            "eval/online_0_low": -4.0,
            "eval/online_0_high": -2.0,
        }
        for s in (1, 2, 3)
    ]
    episodes = [EpisodeRow(k, cell(k), cell(k + 1)) for k in range(3)]
    names = {"env": "point_nav", "algo": "maml", "checkpoint": "c"}
    counts = {"num_tasks": 4, "envs_per_task": 1, "env_steps": 3, "test_env_steps": 0}
    measured = Evaluation(**names, **counts, test_seed=0, episodes=episodes, tasks=[])
    path = tmp_path / "curves.png"
    run_figure(record, measured, path)
    picture = imread(path)
    assert picture.shape[:2] == (440, 1100)
    assert picture[..., :3].std() > 0.05
