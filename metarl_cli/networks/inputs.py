"""What stands before every trunk: standardised vectors, and images seen by a small convnet."""

from __future__ import annotations

from typing import cast

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.core import tree
from metarl_cli.networks.encoders import Features
from metarl_cli.networks.normalizer import Normalizer

IMAGE_FEATURES = 128


class ConvNet(nn.Module):
    """Images `[..., H, W, C]` uint8 to `[..., out_dim]`.

    The first two layers of Mnih et al. 2015 (doi:10.1038/nature14236), halved, and a linear one.
    """

    def __init__(self, image: Box, out_dim: int) -> None:
        super().__init__()
        height, width, channels = image.shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, kernel_size=8, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=4, stride=2),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            flat = self.layers(torch.zeros(1, channels, height, width)).shape[1]
        self.project = nn.Linear(flat, out_dim)
        self.out_dim = out_dim

    def forward(self, image: Tensor) -> Tensor:
        """Map images to features."""
        batch = image.shape[:-3]
        x = image.reshape(-1, *image.shape[-3:]).permute(0, 3, 1, 2).to(self._dtype)
        return torch.relu(self.project(self.layers[1:](self._first(x)))).unflatten(0, batch)

    def _first(self, x: Tensor) -> Tensor:
        """The first layer on pixels / 255 - 1/2, with the weights scaled in place of the pixels."""
        first = cast(nn.Conv2d, self.layers[0])
        assert first.bias is not None
        weight = first.weight / 255
        bias = first.bias - first.weight.sum((1, 2, 3)) / 2
        return functional.conv2d(x, weight, bias, cast(tuple[int, int], first.stride))

    @property
    def _dtype(self) -> torch.dtype:
        """What to compute in; 8-bit pixels are exact in any."""
        kind = self.project.weight.device.type
        autocast = torch.is_autocast_enabled(kind)
        return torch.get_autocast_dtype(kind) if autocast else self.project.weight.dtype


class Inputs(Normalizer):
    """Features as encoders give them to trunk inputs `[..., out_dim]`.

    Args:
        vector_dim: size of the vector; it is standardised by running statistics.
        image: space of the image, if there is one.
    """

    def __init__(self, vector_dim: int, image: Box | None = None) -> None:
        super().__init__(vector_dim)
        self.vision = None if image is None else ConvNet(image, IMAGE_FEATURES)
        self.out_dim = vector_dim + (0 if image is None else IMAGE_FEATURES)

    def update(self, x: Features, mask: Tensor) -> None:
        """Take in features `[G, M, ...]` where `mask` `[G, M]` is 1."""
        super().update(x["vector"] if isinstance(x, dict) else x, mask)

    def take_in(self, x: Features, mask: Tensor) -> None:
        """Take in features `[T, B, ...]` where `mask` `[T, B]` is 1, into shared statistics."""
        self.update(
            tree.tree_map(lambda leaf: leaf.flatten(0, 1).unsqueeze(0), x), mask.view(1, -1)
        )

    def forward(self, x: Features) -> Tensor:
        """Standardise the vector and look at the image."""
        if not isinstance(x, dict):
            return super().forward(x)
        assert self.vision is not None
        return torch.cat([super().forward(x["vector"]), self.vision(x["image"])], -1)
