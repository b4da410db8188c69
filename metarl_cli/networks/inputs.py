"""What stands before every trunk: standardised vectors, and images seen by a small convnet."""

from __future__ import annotations

from typing import Any, cast

import torch
from gymnasium.spaces import Box, Space
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.core.networks import Features, Precision
from metarl_cli.networks.encoders import ObservationEncoder
from metarl_cli.networks.normalizer import Normalizer
from metarl_cli.networks.precision import autocast

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
    """Observations, and vectors beside them, to trunk inputs `[..., out_dim]`.

    The vector is standardised by running statistics, an image is looked at.

    Args:
        space: of observations: what `build_encoder` takes, an image, or a Dict with one image.
        extra_dim: size of what is appended.
        precision: in which images are looked at.
    """

    def __init__(
        self, space: Space[Any], extra_dim: int = 0, precision: Precision = "float32"
    ) -> None:
        encoder = ObservationEncoder(space, extra_dim)
        super().__init__(encoder.out_dim)
        self.encode, self.image, self.precision = encoder, encoder.image, precision
        self.vision = None if self.image is None else ConvNet(self.image, IMAGE_FEATURES)
        self.out_dim = encoder.out_dim + (0 if self.image is None else IMAGE_FEATURES)

    def update_statistics(self, x: Features, mask: Tensor) -> None:
        """Take in features where `mask` is 1; images have no statistics."""
        super().update_statistics(x["vector"] if isinstance(x, dict) else x, mask)

    def forward(self, x: Features) -> Tensor:
        """Standardise the vector and look at the image."""
        if not isinstance(x, dict):
            return super().forward(x)
        assert self.vision is not None
        with autocast(self.precision, x["image"].device):
            seen = self.vision(x["image"])
        return torch.cat([super().forward(x["vector"]), seen.float()], -1)
