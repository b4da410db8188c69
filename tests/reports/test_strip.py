import numpy as np
import pytest
from matplotlib.image import imread

from metarl_cli.reports.strip import StripRow, strip_figure

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def episode(steps, *, width=40):
    """Frames that are red at the start, green at the end and blue between."""
    frames = {t: np.full((40, width, 3), BLUE, np.uint8) for t in range(steps + 1)}
    frames[0][:], frames[steps][:] = RED, GREEN
    return StripRow(f"episode of {steps}", frames)


def drawn(tmp_path, *rows, frames=8):
    strip_figure(rows, tmp_path / "strip.png", frames=frames, title="title")
    return imread(tmp_path / "strip.png")[..., :3]


def blocks(picture, colour):
    """Number of frames of one colour: runs along a line through the middle of each row of them."""
    hit = (np.abs(picture - np.array(colour) / 255) < 0.02).all(-1)
    count = 0
    lines = hit.sum(1) > 20
    starts = np.flatnonzero(np.diff(lines.astype(int), prepend=0) > 0)
    ends = np.flatnonzero(np.diff(lines.astype(int), append=0) < 0)
    for start, end in zip(starts, ends, strict=True):
        line = hit[(start + end) // 2].astype(int)
        count += int((np.diff(line, prepend=0) > 0).sum())
    return count


@pytest.mark.parametrize(("steps", "between"), [(20, 3), (4, 3), (2, 1)])
def test_first_and_last_frame_are_shown_and_some_between(tmp_path, steps, between):
    picture = drawn(tmp_path, episode(steps), frames=5)
    assert [blocks(picture, colour) for colour in (RED, GREEN, BLUE)] == [1, 1, between]


def test_each_episode_has_a_row_also_one_that_ended_early(tmp_path):
    picture = drawn(tmp_path, episode(20), episode(1))
    assert [blocks(picture, colour) for colour in (RED, GREEN, BLUE)] == [2, 2, 6]


def test_wide_frames_are_wrapped_and_the_figure_stays_as_wide(tmp_path):
    square, wide = (drawn(tmp_path, episode(20, width=w)) for w in (40, 90))
    assert square.shape[1] == wide.shape[1]
    assert wide.shape[0] > 1.5 * square.shape[0]
    assert blocks(wide, BLUE) == blocks(square, BLUE) == 6
