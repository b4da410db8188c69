from matplotlib.image import imread

from metarl_cli.reports.figures import run_figure


def cell(mean):
    return {"mean": mean, "low": mean - 1, "high": mean + 2}


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
    episodes = [{"index": k, "online": cell(k), "probe": cell(k + 1)} for k in range(3)]
    document = {"env": "point_nav", "algo": "maml", "num_tasks": 4, "episodes": episodes}
    path = tmp_path / "curves.png"
    run_figure(record, document, path)
    picture = imread(path)
    assert picture.shape[:2] == (440, 1100)
    assert picture[..., :3].std() > 0.05
