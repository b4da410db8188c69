"""From observations as the environment gives them to flat float features.

The encoder follows the observation space: vectors as they are, discrete values one-hot, dicts
concatenated in the order of their keys.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from torch import Tensor, nn
from torch.nn import functional


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
