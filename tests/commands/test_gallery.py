import numpy as np
from matplotlib.image import imread
from omegaconf import OmegaConf

from metarl_cli.commands.pictures import gallery


def test_one_picture_per_family(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "options_of", lambda group: ["point_nav"])
    assert gallery.run(OmegaConf.create({"to": str(tmp_path)})) == 0
    picture = imread(tmp_path / "point.png")
    green = (picture[..., 1] > picture[..., 0] + 0.2) & (picture[..., 1] > picture[..., 2] + 0.2)
    assert np.flatnonzero(np.diff(green.any(axis=0).astype(int)) > 0).size >= 4  # a goal in each
    assert "point_nav" in capsys.readouterr().out
