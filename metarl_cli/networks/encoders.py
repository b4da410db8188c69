"""From observations as the environment gives them to flat float features.

The encoder follows the observation space: vectors as they are, discrete values one-hot, dicts
concatenated in the order of their keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from torch import Tensor, nn

from metarl_cli.core.types import Observation


class VectorEncoder(nn.Module):
    """Box of floats `[..., *shape] -> [..., prod(shape)]`."""

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.num_dims = len(space.shape)
        self.out_dim = int(torch.tensor(space.shape).prod())

    def forward(self, obs: Tensor) -> Tensor:
        """Flatten all but the leading dimensions."""
        return obs if self.num_dims == 1 else obs.flatten(-self.num_dims) if self.num_dims else obs


class OneHotEncoder(nn.Module):
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
        hot = [F.one_hot(x, n) for x, n in zip(parts, self.sizes, strict=True)]
        return torch.cat(hot, -1).float()


class DictEncoder(nn.Module):
    """Concatenation of the encoders of a Dict space."""

    def __init__(self, space: Dict) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({k: build_encoder(s) for k, s in space.spaces.items()})
        self.out_dim = sum(int(e.out_dim) for e in self.encoders.values())

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """Encode each entry and concatenate."""
        return torch.cat([encoder(obs[k]) for k, encoder in self.encoders.items()], -1)


def build_encoder(space: Space) -> nn.Module:
    """Choose the encoder for an observation space."""
    if isinstance(space, Dict):
        return DictEncoder(space)
    if isinstance(space, Discrete | MultiDiscrete):
        return OneHotEncoder(space)
    if isinstance(space, Box) and space.dtype.kind == "f":
        return VectorEncoder(space)
    raise ValueError(f"no encoder for observation space {space}")


def obs_to(obs: Observation, device: torch.device) -> Observation:
    """Move an observation to a device."""
    if isinstance(obs, dict):
        return {k: v.to(device) for k, v in obs.items()}
    return obs.to(device)
