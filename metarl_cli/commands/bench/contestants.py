"""Who takes part in a measurement of speed, and how they take turns.

Machines are noisy, so a rate means little alone: contestants take turns, medians are compared, and
what counts is the ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn

from metarl_cli.envs.adapters.single import SingleEnv
from metarl_cli.envs.adapters.vector import VectorEnv
from metarl_cli.envs.base.batch import NumpyFamily

Contestant = Callable[[], int]  # does some work and returns how much: environment steps, FLOPs
Rates = dict[str, list[float]]  # of each contestant: work per second, turn by turn

BATCH = "metarl batch"
ASYNC_ENVS = 16  # processes of AsyncVectorEnv: more only slow it down on small machines
SYNC_ENVS = 256  # most environments of SyncVectorEnv: its rate does not grow with their number
NUM_ACTIONS = 16  # random actions prepared beforehand and reused in turn
CONTROLS_PER_CALL = 10  # of the physics that returns only after several
MATRIX = 2048  # rows and columns of the matrices whose product shows the peak


@runtime_checkable
class RawPhysics(Protocol):
    """A batch whose physics can be stepped alone."""

    def simulate_only(self, actions: np.ndarray) -> None:
        """Set controls and step."""


@runtime_checkable
class OpenLoop(Protocol):
    """A batch whose physics can be stepped alone, many controls in one call."""

    def roll_out_only(self, actions: np.ndarray) -> None:
        """Step through actions `[T, B, A]`."""


def measure(contestants: dict[str, Contestant], *, seconds: float, rounds: int) -> Rates:
    """Let contestants take turns of `seconds`; return the work per second of each in each turn."""
    rates: Rates = {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant()  # warm-up
    for _ in range(rounds):
        for name, contestant in contestants.items():
            rates[name].append(pace(contestant, seconds))
    return rates


def pace(contestant: Contestant, seconds: float) -> float:
    """Return the work per second of one contestant that works for so long."""
    work, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        work += contestant()
    return work / elapsed


def measure_environment(
    family: NumpyFamily, *, num_envs: int, threads: int, seconds: float, rounds: int
) -> Rates:
    """Compare our batch with its bare physics and with gymnasium's own vectorisation."""
    env = batch_of(family, num_envs, threads)
    contestants = {BATCH: stepping(env, num_envs)} | _limits(env)
    in_turn = min(num_envs, SYNC_ENVS)
    vectors = {
        f"SyncVectorEnv ({in_turn} envs)": _vector(family, "Sync", in_turn),
        f"AsyncVectorEnv ({ASYNC_ENVS} processes)": _vector(family, "Async", ASYNC_ENVS),
    }
    contestants |= {name: stepping(vector, vector.num_envs) for name, vector in vectors.items()}
    try:
        return measure(contestants, seconds=seconds, rounds=rounds)
    finally:
        for vector in vectors.values():
            vector.close()


def stepping(env: Any, num_envs: int) -> Contestant:
    """Random actions; each episode starts again as soon as it has ended, so every step counts."""
    actions = _random_actions(env.single_action_space, num_envs)
    env.reset(seed=0)
    count = 0

    def go() -> int:
        nonlocal count
        *_, terminated, truncated, _ = env.step(actions[count % NUM_ACTIONS])
        count += 1
        ended = terminated | truncated
        if ended.any():
            env.reset(options={"reset_mask": ended})
        return num_envs

    return go


def multiplying(dtype: torch.dtype, device: torch.device) -> Contestant:
    """The largest rate of matrix products that there is: FLOPs of a product of large squares."""
    left, right = (torch.ones(MATRIX, MATRIX, dtype=dtype, device=device) for _ in range(2))
    out = torch.empty_like(left)

    def go() -> int:
        torch.mm(left, right, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return 2 * MATRIX**3

    return go


def recurring(run: Callable[[Tensor], Tensor], cells: nn.GRU, x: Tensor) -> Contestant:
    """A way to run recurrent cells forwards and backwards through inputs `[T, B, F]`."""

    def go() -> int:
        cells.zero_grad()
        run(x).sum().backward()
        return len(x) * x.shape[1]

    return go


def batch_of(family: NumpyFamily, num_envs: int, threads: int) -> VectorEnv:
    """Return environments that say themselves when an episode ends."""
    return VectorEnv(family, num_envs, threads=threads, autoreset_mode=AutoresetMode.DISABLED)


def _limits(env: VectorEnv) -> dict[str, Contestant]:
    """The bare physics of a batch, which has no observations, rewards or resets."""
    actions = _random_actions(env.single_action_space, env.num_envs)
    limits: dict[str, Contestant] = {}
    batch: Any = env.batch
    if isinstance(batch, RawPhysics):
        limits["raw mujoco.batch loop"] = _in_turn(batch.simulate_only, actions, env.num_envs)
    if isinstance(batch, OpenLoop):
        many = actions[None, :CONTROLS_PER_CALL]
        work = CONTROLS_PER_CALL * env.num_envs
        limits[f"rollout, {CONTROLS_PER_CALL} controls per call"] = _in_turn(
            batch.roll_out_only, many, work
        )
    return limits


def _in_turn(step: Callable[[np.ndarray], None], inputs: np.ndarray, work: int) -> Contestant:
    count = 0

    def go() -> int:
        nonlocal count
        step(inputs[count % len(inputs)])
        count += 1
        return work

    return go


def _random_actions(space: gymnasium.Space[Any], num_envs: int) -> np.ndarray:
    space.seed(0)
    return np.stack([[space.sample() for _ in range(num_envs)] for _ in range(NUM_ACTIONS)])


def _vector(family: NumpyFamily, kind: str, num_envs: int) -> Any:
    """Gymnasium's own vectorisation of the same single environment."""
    make = getattr(gymnasium.vector, f"{kind}VectorEnv")
    return make([lambda: SingleEnv(family)] * num_envs, autoreset_mode=AutoresetMode.DISABLED)
