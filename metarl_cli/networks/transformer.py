"""A causal transformer with a bounded window of attention and a cache for acting."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl_cli.core.checks import require_at_least
from metarl_cli.core.networks import State
from metarl_cli.networks.memory import Memory
from metarl_cli.networks.mlp import initialised_linear

Cache = dict[str, Tensor]
ROOM = 16  # steps by which the cache grows


class Block(nn.Module):
    """Attention, then a feed-forward layer, each on normalised inputs (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = initialised_linear(width, 3 * width)
        self.merge = initialised_linear(width, width)
        self.widen = initialised_linear(width, 4 * width)
        self.narrow = initialised_linear(4 * width, width)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, T, width]` each."""
        query, key, value = self.project(self.before_attention(x)).chunk(3, dim=-1)
        return query, key, value

    def attend(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Let `x` `[B, T, width]` look at keys `[B, S, width]`; `bias` `[.., heads, T, S]`."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.merge(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(functional.gelu(self.widen(self.before_mlp(x))))


class Transformer(Memory):
    """Looks back at the last `context` steps of the trial.

    Distances enter as a linear penalty per head (Press et al. 2022, ALiBi, arXiv:2108.12409), so
    that nothing depends on absolute time and the cache may forget the oldest step.

    Args:
        width: size of the features.
        heads: attention heads; they share the width.
        layers: number of blocks.
        context: steps that attention reaches back, the present one included.
    """

    slopes: Tensor

    def __init__(self, width: int, heads: int, layers: int, context: int, *, in_dim: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width: got {width}, expected a multiple of heads = {heads}")
        require_at_least(1, context=context)
        self.embed = initialised_linear(in_dim, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.context, self.out_dim = context, width
        self.register_buffer("slopes", 2.0 ** -(8.0 * torch.arange(1, heads + 1) / heads))

    def initial_state(self, num: int) -> Cache:
        """An empty cache: how many steps are `filled`, `[num]`, keys and values of each of them.

        These are `[num, layers, room, width]`, the newest last; room grows by `ROOM` up to
        `context`, so that short trials neither copy nor look at what is empty.
        """
        shape = (num, len(self.blocks), min(ROOM, self.context), self.out_dim)
        zeros = self.embed.weight.new_zeros(shape)
        return {
            "keys": zeros,
            "values": zeros.clone(),
            "filled": torch.zeros(num, dtype=torch.int64, device=zeros.device),
        }

    def step(self, x: Tensor, state: State, active: Tensor) -> tuple[Tensor, State]:
        """Take in one input of each trial, see `Memory.step`; make room for it first."""
        return super().step(x, self._with_room(state), active)

    def _with_room(self, state: Cache) -> Cache:
        room = state["keys"].shape[2]
        if room == self.context or int(state["filled"].max()) < room:
            return state
        more = min(ROOM, self.context - room)
        wider = {key: functional.pad(state[key], (0, 0, more, 0)) for key in ("keys", "values")}
        return state | wider

    def _step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        room = state["keys"].shape[2]
        filled = (state["filled"] + 1).clamp(max=self.context)
        age = torch.arange(room - 1, -1, -1, device=x.device)  # the newest comes last
        bias = -self.slopes[:, None] * age  # [heads, room]
        bias = bias.masked_fill((age >= filled[:, None])[:, None], -torch.inf)[:, :, None]
        keys, values = (_moved_on(state[key]) for key in ("keys", "values"))
        x = self.embed(x).unsqueeze(1)
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            query, key, value = block.qkv(x)
            keys[:, index, -1], values[:, index, -1] = key[:, 0], value[:, 0]
            x = block.attend(x, query, keys[:, index], values[:, index], bias)
        return self.norm(x[:, 0]), {"keys": keys, "values": values, "filled": filled}

    def _sequence(self, x: Tensor) -> Tensor:
        time = torch.arange(len(x), device=x.device)
        age = time[:, None] - time
        bias = -self.slopes[:, None, None] * age
        bias = bias.masked_fill((age < 0) | (age >= self.context), -torch.inf)  # [heads, T, T]
        x = self.embed(x).transpose(0, 1)
        for block in self.blocks:
            assert isinstance(block, Block)
            x = block.attend(x, *block.qkv(x), bias)
        return self.norm(x).transpose(0, 1)


def _moved_on(cache: Tensor) -> Tensor:
    """Copy `[num, layers, room, width]` without the oldest step; the place of the newest is free.

    A copy, as a memory is a value: an agent may go on from it twice.
    """
    after = torch.empty_like(cache)
    after[:, :, :-1] = cache[:, :, 1:]
    return after
