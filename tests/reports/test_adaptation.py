import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from metarl_cli.reports.adaptation import Line, adaptation_figure
from metarl_cli.runtime.evaluation import EpisodeRow, Evaluation, Interval


def line(label, *means, envs=20):
    episodes = [EpisodeRow(k, Interval(x, x - 1.0, x + 2.0)) for k, x in enumerate(means)]
    names = {"env": "point_nav", "algo": label, "checkpoint": "c"}
    counts = {"num_tasks": 4, "envs_per_task": envs, "env_steps": 3, "test_env_steps": 0}
    return Line(label, Evaluation(**names, **counts, test_seed=0, episodes=episodes, tasks=[]))


def pixels(picture, color):
    """How many pixels have a colour, as of a line."""
    return int((np.abs(picture[..., :3] - to_rgb(color)).max(-1) < 0.02).sum())


def test_episodes_spent_are_all_that_a_task_was_given_before():
    assert line("maml", -40.0, -10.0, -4.0).episodes_spent == [0, 20, 40]
    assert line("pearl", -3.0, -2.0, envs=2).episodes_spent == [0, 2]


def test_a_panel_per_environment_and_one_colour_per_label(tmp_path):
    maml, scratch = line("maml", -40.0, -10.0), line("scratch_ppo", *np.linspace(-70, -3, 51))
    path = tmp_path / "adaptation.png"
    adaptation_figure({"point_nav": [maml, scratch], "cheetah_vel": [scratch]}, path)
    picture = imread(path)
    assert picture.shape[:2] == (484, 1100)
    left, right = picture[:, :550], picture[:, 550:]
    assert pixels(left, "C0") > 200 and pixels(left, "C1") > 200
    assert pixels(right, "C0") == 0 and pixels(right, "C1") > 200


@pytest.mark.parametrize("means", [[-3.0], [-3.0, -2.0], [*range(1500)]])
def test_few_and_many_adaptations_can_be_drawn_in_more_panels_than_columns(tmp_path, means):
    path = tmp_path / "adaptation.png"
    adaptation_figure({f"env {i}": [line("rl2", *means, envs=1)] for i in range(4)}, path)
    picture = imread(path)
    assert picture.shape[:2] == (924, 1650)
    assert pixels(picture[462:, :550], "C0") > 10  # the fourth panel is below the first
    assert pixels(picture[462:, 550:], "C0") == 0
