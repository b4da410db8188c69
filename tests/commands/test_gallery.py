import numpy as np
import pytest
from matplotlib.image import imread
from omegaconf import OmegaConf

from metarl_cli.commands.pictures import gallery
from metarl_cli.config.make import make_family


def test_one_picture_per_family(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "options_of", lambda group: ["point_nav"])
    assert gallery.run(OmegaConf.create({"to": str(tmp_path)})) == 0
    picture = imread(tmp_path / "point.png")
    green = (picture[..., 1] > picture[..., 0] + 0.2) & (picture[..., 1] > picture[..., 2] + 0.2)
    assert np.flatnonzero(np.diff(green.any(axis=0).astype(int)) > 0).size >= 4  # a goal in each
    assert "point_nav" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "num", "apart"), [("cheetah_dir", 2, 2.0), ("ant_vel", 2, 1.0), ("point_nav", 4, 0.2)]
)
def test_tasks_of_a_gallery_are_far_from_each_other(name, num, apart):
    tasks = gallery.tasks_apart(make_family(name=name), num)
    distances = np.linalg.norm(tasks[:, None] - tasks, axis=-1)
    assert len(tasks) == num
    assert distances[~np.eye(num, dtype=bool)].min() >= apart


def test_pictures_of_robots_with_different_headings_differ_in_their_green():
    ants = make_family(name="ant_dir").batch(2)
    ants.reset(seed=0, task=np.array([[-1.0], [1.0]]))
    ends = []
    for row in range(2):
        picture = ants.draw(row).astype(int)
        green = (picture[..., 1] > picture[..., 0] + 60) & (picture[..., 1] > picture[..., 2] + 50)
        ends.append(np.nonzero(green)[1].mean() - 160)
    ants.close()
    assert ends[0] < -10 < 10 < ends[1]
