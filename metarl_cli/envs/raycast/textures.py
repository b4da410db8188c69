"""Pictures for the surfaces of a ray-cast world, and the atlas in which they are looked up.

A texture has sides that are powers of two and repeats in both directions. As on graphics cards
(Williams 1983, "Pyramidal parametrics"), the atlas keeps it at all halved sizes as well, so that
what is far away becomes smooth instead of flickering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metarl_cli.envs.base.drawing import Colour

NUM_SHADES = 16  # steps of brightness, from DARKEST to 1
DARKEST = 0.55
LETTER_TEXELS = 32  # a letter's side in a lettering


@dataclass(frozen=True, eq=False)
class Texture:
    """A repeating picture.

    Args:
        pixels: uint8 `[h, w, 3]`, first row on top; `h` and `w` are powers of two.
        texel: side of one pixel in the world, m.
    """

    pixels: np.ndarray
    texel: float

    def __post_init__(self) -> None:
        height, width, _ = self.pixels.shape
        if height & (height - 1) or width & (width - 1):
            raise ValueError(f"texture: got {width} x {height} pixels, expected powers of two")


def plain(colour: Colour) -> Texture:
    """Return one colour everywhere."""
    return Texture(np.full((1, 1, 3), colour, np.uint8), 1.0)


def speckled(colour: Colour, contrast: float, *, texel: float = 0.04, seed: int = 0) -> Texture:
    """Return cloudy grains like concrete's: 64 x 64, brightness varied by `contrast` (std)."""
    random = np.random.default_rng(seed)
    brightness = np.ones((64, 64))
    for size in (8, 16, 32, 64):
        grains = random.normal(size=(size, size)).repeat(64 // size, 0).repeat(64 // size, 1)
        brightness += 0.5 * contrast * grains
    return Texture(_clipped(brightness[:, :, None] * colour), texel)


def tiled(colour: Colour, joint: Colour, side: float) -> Texture:
    """Return square tiles of `side` metres with joints between them."""
    pixels = np.full((32, 32, 3), colour, np.uint8)
    pixels[:1] = pixels[:, :1] = joint
    return Texture(pixels, side / 32)


def bricks(colour: Colour, joint: Colour, *, seed: int = 0) -> Texture:
    """Return courses of bricks, 0.64 x 0.16 m with joints, each brick a little different."""
    random = np.random.default_rng(seed)
    pixels = np.empty((32, 64, 3))
    for course in range(8):
        for brick in range(4):
            columns = (np.arange(16) + 16 * brick + 8 * (course % 2)) % 64
            pixels[4 * course : 4 * course + 4, columns] = random.normal(1, 0.08) * np.array(colour)
            pixels[4 * course : 4 * course + 4, columns[0]] = joint
        pixels[4 * course] = joint
    return Texture(_clipped(pixels), 0.04)


def lettering(words: str, size: float, *, ink: Colour = (0, 0, 0), paper: Colour) -> Texture:
    """Return `words` as a row of squares with one letter each, `size` metres high.

    The texture's first `len(words) * size` metres hold the words, the rest is paper.
    """
    width = 1 << (len(words) * LETTER_TEXELS - 1).bit_length()
    image = Image.new("RGB", (width, LETTER_TEXELS), paper)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(LETTER_TEXELS)
    for i, letter in enumerate(words):
        centre = ((i + 0.5) * LETTER_TEXELS, 0.5 * LETTER_TEXELS)
        draw.text(centre, letter, fill=ink, font=font, anchor="mm", stroke_width=1)
    return Texture(np.array(image), size / LETTER_TEXELS)


class Atlas:
    """All textures of a world in one palette: a surface point becomes an index into `palette`.

    Attributes:
        palette: uint8 `[P, 3]`.
        texel: float64 `[num_textures]`, side of the finest texels, m.
        num_levels: sizes kept per texture; level l has texels of `texel * 2**l`.
    """

    def __init__(self, textures: Sequence[Texture]) -> None:
        pyramids = [_pyramid(texture.pixels) for texture in textures]
        self.texel = np.array([texture.texel for texture in textures])
        self.num_levels = max(map(len, pyramids))
        shape = (len(textures), self.num_levels)
        self.offset = np.zeros(shape, np.int32)  # of a level's first texel, in the palette
        self.u_mask = np.zeros(shape, np.int32)  # width - 1
        self.v_mask = np.zeros(shape, np.int32)  # height - 1
        flat: list[np.ndarray] = []
        size = 0
        for i, pyramid in enumerate(pyramids):
            for level in range(self.num_levels):
                pixels = pyramid[min(level, len(pyramid) - 1)]
                self.v_mask[i, level], self.u_mask[i, level] = np.array(pixels.shape[:2]) - 1
                self.offset[i, level] = size
                flat.append(pixels[::-1].swapaxes(0, 1).reshape(-1, 3))  # u major, v upwards
                size += len(flat[-1])
        brightness = np.linspace(DARKEST, 1, NUM_SHADES)[:, None, None]
        self.palette = _clipped(brightness * np.concatenate(flat)).reshape(-1, 3)
        padded = np.pad(self.palette, ((0, 0), (0, 1)))
        self._colours = padded.view(np.uint32)[:, 0]  # looked up twice as fast as three bytes
        self._shade_stride = size

    def paint(self, index: np.ndarray, image: np.ndarray) -> None:
        """Write the colours of palette indices `[...]` into `image`, uint8 `[..., 3]`."""
        colours = np.take(self._colours, index, mode="clip").view(np.uint8)
        colours = colours.reshape(*index.shape, 4)
        for channel in range(3):
            image[..., channel] = colours[..., channel]

    def level(self, texture: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Return the coarsest level with texels no larger than a pixel's `footprint`, in m."""
        ratio = footprint / self.texel[texture]
        return np.clip(np.frexp(ratio)[1] - 1, 0, self.num_levels - 1)

    def scale(self, texture: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Return the texels per metre."""
        return 1 / (self.texel[texture] * 2.0**level)

    def shade(self, brightness: np.ndarray | float) -> np.ndarray:
        """Return the palette's offset for a brightness in [0, 1], rounded to its steps."""
        step = np.rint((np.asarray(brightness) - DARKEST) / (1 - DARKEST) * (NUM_SHADES - 1))
        return np.clip(step, 0, NUM_SHADES - 1).astype(np.int32) * self._shade_stride

    def strip(self, texture: np.ndarray, footprint: np.ndarray, u: np.ndarray) -> Strip:
        """Return the strips of texels `u` m to the right, as coarse as a pixel's `footprint`."""
        level = self.level(texture, footprint)
        scale = self.scale(texture, level)
        v_mask = self.v_mask[texture, level]
        column = np.floor(u * scale).astype(np.int32) & self.u_mask[texture, level]
        start = self.offset[texture, level] + column * (v_mask + 1)
        return Strip(start, v_mask, scale.astype(np.float32))


@dataclass(slots=True)
class Strip:
    """Vertical lines of texels, one after the other in the palette."""

    start: np.ndarray  # int32, palette index of the lowest texel
    mask: np.ndarray  # int32, number of texels - 1
    scale: np.ndarray  # texels per metre

    def __getitem__(self, key: Any) -> Strip:
        return Strip(self.start[key], self.mask[key], self.scale[key])

    def index(self, v: np.ndarray) -> np.ndarray:
        """Return palette indices, int32, of the points `v` m up."""
        texel = v * self.scale
        texel = np.floor(texel, out=texel).astype(np.int32)
        texel &= self.mask
        texel += self.start
        return texel


def _pyramid(pixels: np.ndarray) -> list[np.ndarray]:
    """The picture at its full size, halved, halved again, ... down to one pixel."""
    levels = [pixels.astype(np.float64)]
    while levels[-1].shape[:2] != (1, 1):
        finer = levels[-1]
        if finer.shape[0] > 1:
            finer = (finer[::2] + finer[1::2]) / 2
        if finer.shape[1] > 1:
            finer = (finer[:, ::2] + finer[:, 1::2]) / 2
        levels.append(finer)
    return levels


def _clipped(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
