import sys

import numpy as np
import pytest
from PIL import Image

from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import UserError

tensorboard = pytest.importorskip("metarl_cli.loggers.tensorboard")
from tensorboardX.proto.event_pb2 import Event  # noqa: E402


def events(folder):
    """All values in the event files, by tag: `(step, value)`; each record is length and content."""
    found = {}
    for file in sorted(folder.glob("events.*")):
        data, place = file.read_bytes(), 0
        while place < len(data):
            length = int.from_bytes(data[place : place + 8], "little")
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def test_numbers_films_and_pictures_are_in_the_event_file(tmp_path):
    logger = tensorboard.TensorBoardLogger(1, run_dir=tmp_path)
    logger.log({"train/a": 0.5, "train/bad": float("nan")}, 10)
    logger.log({"train/a": 0.25, "test/held_out": 1.0}, 20)
    frames = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 8, 6, 3), 80, np.uint8)
    logger.video("test", frames, 20)
    Image.fromarray(frames[1]).save(tmp_path / "curves.png")
    logger.image("curves", tmp_path / "curves.png", 20)
    logger.close("finished")
    found = events(tmp_path / "tensorboard")
    assert [(step, x.simple_value) for step, x in found["train/a"]] == [(10, 0.5), (20, 0.25)]
    assert "train/bad" not in found and "env_steps" not in found
    film, picture = found["video/test"][0][1].image, found["image/curves"][0][1].image
    assert film.encoded_image_string[:4] == b"GIF8"
    assert (film.width, film.height) == (picture.width, picture.height) == (6, 8)


def test_without_its_library_it_is_refused_in_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "metarl_cli.loggers.tensorboard")
    monkeypatch.delattr("metarl_cli.loggers.tensorboard")
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"^logger\.tensorboard needs tensorboardX: pip install"):
        check(compose("train", ["logger=tensorboard"]))
