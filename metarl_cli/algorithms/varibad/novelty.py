"""How new a hyper-state is, and how large bonuses are: what exploration bonuses are made of.

Random network distillation (Burda et al. 2019, arXiv:1810.12894) on hyper-states, that is state and
belief (Zintgraf et al. 2021, arXiv:2010.01062).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from metarl_cli.core.networks import Features
from metarl_cli.core.types import EnvSpec, Observation
from metarl_cli.networks.encoders import ObservationEncoder
from metarl_cli.networks.inputs import IMAGE_FEATURES, ConvNet
from metarl_cli.networks.normalizer import Normalizer


class Novelty(nn.Module):
    """Error of a network that learns, where it has been, to agree with one of random weights.

    Args:
        spec: the environment.
        belief_dim: size of what is known of the belief.
        target_hidden: layer sizes of the random network.
        predictor_hidden: layer sizes of the one that learns.
        num_features: outputs on which the two shall agree.
        target_scale: factor on the random weights; the larger, the rougher the function.
    """

    def __init__(
        self,
        spec: EnvSpec,
        belief_dim: int,
        *,
        target_hidden: Sequence[int],
        predictor_hidden: Sequence[int],
        num_features: int,
        target_scale: float,
    ) -> None:
        super().__init__()
        self.encoder = ObservationEncoder(spec.observation, belief_dim)
        self.target = FeatureNet(self.encoder, target_hidden, num_features).requires_grad_(False)
        for weight in self.target.parameters():
            weight.mul_(target_scale)
        self.predictor = FeatureNet(self.encoder, predictor_hidden, num_features)

    def forward(self, obs: Observation, belief: Tensor) -> Tensor:
        """Return the mean squared error `[...]` at states and beliefs `[..., belief_dim]`."""
        hyper_state = self.encoder(obs, belief)
        return (self.predictor(hyper_state) - self.target(hyper_state)).square().mean(-1)


class FeatureNet(nn.Module):
    """ReLU network on raw features `[..., F] -> [..., out_dim]`; images pass a convnet first."""

    def __init__(self, encoder: ObservationEncoder, hidden: Sequence[int], out_dim: int) -> None:
        super().__init__()
        image = encoder.image
        self.vision = None if image is None else ConvNet(image, IMAGE_FEATURES)
        sizes = [encoder.out_dim + (0 if image is None else IMAGE_FEATURES), *hidden]
        # Random biases, unlike in `networks.mlp`: without them nothing would bend but at zero.
        layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], out_dim))

    def forward(self, x: Features) -> Tensor:
        """Map features to features."""
        if isinstance(x, dict):
            assert self.vision is not None
            x = torch.cat([x["vector"], self.vision(x["image"])], -1)
        return self.layers(x)


class ReturnScale(Normalizer):
    """Divide rewards by the running standard deviation of their discounted sums."""

    def __init__(self, discount: float) -> None:
        super().__init__(1)
        self.discount = discount

    def update_statistics(self, reward: Tensor, active: Tensor) -> None:
        """Update with the sums so far at each step of trials `[T, B]` where `active` is 1."""
        total, totals = torch.zeros_like(reward[0]), []
        for r, mask in zip(reward, active, strict=True):
            total = torch.where(mask > 0, self.discount * total + r, total)
            totals.append(total)
        super().update_statistics(torch.stack(totals).unsqueeze(-1), active)

    def forward(self, reward: Tensor) -> Tensor:
        """Scale rewards `[...]` and clip them; their sign and their zero stay."""
        return (reward / self._std()).clamp(-self.clip, self.clip)
