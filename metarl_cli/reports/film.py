"""Films of a trial: episodes side by side, with words about what is to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metarl_cli.loggers.gif import write_gif
from metarl_cli.loggers.mp4 import can_write_mp4, write_mp4
from metarl_cli.reports.adaptations import in_words
from metarl_cli.runtime.film import FilmedEpisode, Moment

PLAYING_TIME_MS = 6000
_FONT_SIZE, _LINE = 12, 17  # pixels
_MARGIN, _GAP = 6, 8  # pixels: beside words, between columns
_BLACK, _DIM, _WHITE = (30, 30, 30), (110, 110, 110), (255, 255, 255)


def side_by_side(episodes: Sequence[FilmedEpisode], title: str) -> np.ndarray:
    """Return a film of episodes that are played at once, uint8 `[T, height, width, 3]`.

    Above each stands how often the agent had adapted; below it the step, what the environment
    reports (mean of the last steps) and the return so far. One that ends earlier waits.

    Args:
        episodes: of one trial.
        title: what is common to them; broken into lines where it is long.
    """
    height, width, _ = next(iter(episodes[0].frames.values())).shape
    whole = width * len(episodes) + _GAP * (len(episodes) - 1)
    lines = _broken(title, whole - 2 * _MARGIN)
    page = _Page(whole, len(lines), height)
    most = max(episode.index for episode in episodes)
    steps = sorted({step for episode in episodes for step in episode.moments})
    film = []
    for step in steps:
        page.clear(lines)
        for column, episode in enumerate(episodes):
            last = max(t for t in episode.moments if t <= step)
            words = in_words(episode.index, most)
            page.put(column * (width + _GAP), words, last, episode.moments[last])
        film.append(page.picture())
    return np.stack(film)


def write_film(stem: Path, frames: np.ndarray) -> list[Path]:
    """Write a film `[T, height, width, 3]` as GIF, and as MP4 if this can be done here.

    Args:
        stem: of the files, without an ending.
        frames: of the film.

    Returns:
        The files that were written.
    """
    paths = [stem.with_suffix(".gif")]
    write_gif(paths[0], frames, most_frames=len(frames), playing_time_ms=PLAYING_TIME_MS)
    if can_write_mp4():
        paths.append(stem.with_suffix(".mp4"))
        write_mp4(paths[1], frames, playing_time_ms=PLAYING_TIME_MS)
    return paths


class _Page:
    """What one picture of the film is put on."""

    def __init__(self, width: int, num_lines: int, height: int) -> None:
        self._top = _LINE * num_lines + _MARGIN  # of the columns
        self._bottom = self._top + _LINE + height
        self._size = (width, self._bottom + 2 * _LINE + _MARGIN)
        self._font = _font()

    def clear(self, lines: Sequence[str]) -> None:
        """Begin a picture with the title."""
        self._image = Image.new("RGB", self._size, _WHITE)
        self._draw = ImageDraw.Draw(self._image)
        for number, line in enumerate(lines):
            self._write(_MARGIN, _LINE * number + 2, line, _BLACK)

    def put(self, left: int, words: str, step: int, moment: Moment) -> None:
        """Add an episode at a step."""
        self._write(left + _MARGIN, self._top - 2, words, _BLACK)
        self._image.paste(Image.fromarray(moment.frame), (left, self._top + _LINE))
        known = [f"step {step}", *(f"{key} {x:.2f}" for key, x in moment.info.items())]
        self._write(left + _MARGIN, self._bottom + 2, "   ".join(known), _DIM)
        returned = f"return so far {moment.total_reward:.2f}"
        self._write(left + _MARGIN, self._bottom + _LINE + 2, returned, _BLACK)

    def picture(self) -> np.ndarray:
        """Return what has been put together."""
        return np.array(self._image)

    def _write(self, x: int, y: int, words: str, colour: tuple[int, int, int]) -> None:
        self._draw.text((x, y), words, fill=colour, font=self._font)


def _broken(text: str, width: int) -> list[str]:
    """Break a text into lines of at most so many pixels, unless a word is longer."""
    font, lines = _font(), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)
