"""Episodes side by side with words, and the films that are written of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from metarl_cli.loggers.mp4 import write_mp4
from metarl_cli.reports.film import side_by_side, write_film
from metarl_cli.runtime.film import FilmedEpisode, Moment

RED, BLUE = (250, 0, 0), (0, 0, 250)


def episode(index, colour, steps):
    frame = np.full((40, 100, 3), colour, np.uint8)
    moments = {t: Moment(frame // (t + 1), -1.0 * t, {"velocity": 0.5}) for t in steps}
    return FilmedEpisode(index, moments, -1.0)


def share(picture, colour):
    return (picture == colour).all(-1)


def test_columns_play_at_once_and_the_one_that_ends_first_waits():
    film = side_by_side([episode(0, RED, (0, 2)), episode(1, BLUE, (0, 1))], "short")
    assert len(film) == 3 and film.shape[2] == 2 * 100 + 8
    red = [share(picture, RED).sum() == 4000 for picture in film]
    assert red == [True, True, False]
    blue, darker = share(film[0], BLUE), share(film[2], (0, 0, 125))
    assert blue.sum() == darker.sum() == 4000
    assert np.flatnonzero(blue.any(0))[0] == 108


def test_words_change_with_the_step_and_long_titles_have_more_lines():
    first, second = side_by_side([episode(0, RED, (0, 1))], "short")
    below = np.flatnonzero(share(first, RED).any(1))[-1] + 1
    assert (first[below:] != second[below:]).any() and (first[:20] == second[:20]).all()
    longer = side_by_side([episode(0, RED, (0,))], "a title that is too long for one line")
    assert longer.shape[1] > first.shape[0]


def test_films_are_written_as_gif_and_mp4(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    frames = side_by_side([episode(0, RED, range(4))], "short")
    paths = write_film(tmp_path / "film", frames)
    assert [path.name for path in paths] == ["film.gif", "film.mp4"]
    with Image.open(paths[0]) as film:
        assert film.n_frames == 4
    assert paths[1].read_bytes()[4:8] == b"ftyp"


def test_mp4_has_all_frames_and_even_edges(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    frames = np.zeros((5, 33, 65, 3), np.uint8)
    write_mp4(tmp_path / "film.mp4", frames, playing_time_ms=500)
    reader = ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    facts = next(reader)
    assert (facts["size"], facts["fps"], len(list(reader))) == ((66, 34), 10.0, 5)
