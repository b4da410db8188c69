"""From observations as the environment gives them to flat float features.

The encoder follows the observation space: vectors as they are, discrete values one-hot, dicts
concatenated in the order of their keys. It has no parameters. An image stays an image, apart from
the rest: what sees it is learned (`networks.inputs`).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.core.networks import Features
from metarl_cli.core.types import Observation


class Encoder(nn.Module):
    """Maps an observation to `[..., out_dim]` features."""

    out_dim: int


class VectorEncoder(Encoder):
    """Box of floats `[..., *shape] -> [..., prod(shape)]`."""

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.num_dims = len(space.shape)
        self.out_dim = int(torch.tensor(space.shape).prod())

    def forward(self, obs: Tensor) -> Tensor:
        """Flatten all but the leading dimensions."""
        return obs if self.num_dims == 1 else obs.flatten(-self.num_dims) if self.num_dims else obs


class OneHotEncoder(Encoder):
    """Discrete `[...]` or MultiDiscrete `[..., K]` to concatenated one-hot vectors."""

    def __init__(self, space: Discrete | MultiDiscrete) -> None:
        super().__init__()
        single = isinstance(space, Discrete)
        self.sizes = [int(space.n)] if isinstance(space, Discrete) else space.nvec.tolist()
        self.single = single
        self.out_dim = sum(self.sizes)

    def forward(self, obs: Tensor) -> Tensor:
        """One-hot each component."""
        obs = obs.long()
        parts = [obs] if self.single else list(obs.unbind(-1))
        hot = [functional.one_hot(x, n) for x, n in zip(parts, self.sizes, strict=True)]
        return torch.cat(hot, -1).float()


class DictEncoder(Encoder):
    """Concatenation of the encoders of a Dict space."""

    def __init__(self, space: Dict) -> None:
        super().__init__()
        encoders = {key: build_encoder(part) for key, part in space.spaces.items()}
        self.encoders = nn.ModuleDict(encoders)
        self.out_dim = sum(encoder.out_dim for encoder in encoders.values())

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """Encode each entry and concatenate."""
        return torch.cat([encoder(obs[k]) for k, encoder in self.encoders.items()], -1)


def build_encoder(space: Space[Any]) -> Encoder:
    """Choose the encoder for an observation space."""
    if isinstance(space, Dict):
        return DictEncoder(space)
    if isinstance(space, Discrete | MultiDiscrete):
        return OneHotEncoder(space)
    if isinstance(space, Box) and space.dtype.kind == "f":
        return VectorEncoder(space)
    raise ValueError(f"no encoder for observation space {space}")


class TaskScale(Encoder):
    """Maps task parameters `[..., D]` from the bounds of their space to [-1, 1]."""

    low: Tensor
    high: Tensor

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(space.low).float(), persistent=False)
        self.register_buffer("high", torch.as_tensor(space.high).float(), persistent=False)
        self.out_dim = space.shape[0]

    def forward(self, task: Tensor) -> Tensor:
        """Scale each parameter."""
        return 2 * (task - self.low) / (self.high - self.low) - 1


class ObservationEncoder(nn.Module):
    """Maps an observation, and more vectors beside it, to features.

    Args:
        space: what `build_encoder` takes, an image (uint8 `[H, W, C]`), or a Dict with one image.
        extra_dim: size of what is appended.
    """

    def __init__(self, space: Space[Any], extra_dim: int = 0) -> None:
        super().__init__()
        self.image_key, self.image = _find_image(space)
        others = _without(space, self.image_key) if self.image is not None else space
        self.flat = None if others is None else build_encoder(others)
        self.out_dim = extra_dim + (0 if self.flat is None else self.flat.out_dim)  # of the vector

    def forward(self, obs: Observation, *extras: Tensor) -> Features:
        """Encode the observation `[...]` and append vectors `[..., K]`."""
        parts = list(extras) if self.flat is None else [self.flat(obs), *extras]
        if self.image is None:
            return torch.cat(parts, -1) if extras else parts[0]
        image = obs[self.image_key] if isinstance(obs, dict) else obs
        vector = torch.cat(parts, -1) if parts else image.new_zeros(*image.shape[:-3], 0).float()
        return {"vector": vector, "image": image}


def is_image(space: Space[Any]) -> bool:
    """Whether a space is that of 8-bit colour images."""
    return isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3


def _find_image(space: Space[Any]) -> tuple[str, Box | None]:
    entries = space.spaces if isinstance(space, Dict) else {"": space}
    images = {key: part for key, part in entries.items() if is_image(part)}
    if len(images) > 1:
        raise ValueError(f"observation space: expected at most one image, got {list(images)}")
    key, image = next(iter(images.items()), ("", None))
    return key, cast(Box | None, image)


def _without(space: Space[Any], key: str) -> Dict | None:
    """The Dict space without an entry; None if nothing is left."""
    if not isinstance(space, Dict) or len(space.spaces) == 1:
        return None
    return Dict({k: part for k, part in space.spaces.items() if k != key})
