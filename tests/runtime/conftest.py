"""Tiny runs in this process: real environments, algorithms and files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TINY

from metarl_cli.commands.parts.assemble import Parts, assemble
from metarl_cli.config.check import check
from metarl_cli.config.compose import compose
from metarl_cli.loggers.jsonl import JsonlLogger, read_rows
from metarl_cli.runtime.checkpoint import CheckpointStore
from metarl_cli.runtime.trainer import Budget, Trainer


@dataclass
class TinyRun:
    """A trainer with its record and checkpoints in `folder`."""

    folder: Path
    parts: Parts
    record: JsonlLogger
    trainer: Trainer

    @property
    def store(self) -> CheckpointStore:
        return self.trainer.store

    def rows(self) -> list[dict[str, Any]]:
        """The record without what depends on the clock."""
        rows = read_rows(self.record.path)
        return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]

    def last(self) -> str:
        """Fingerprint of the newest checkpoint."""
        return fingerprint(self.store.load_latest()[0])


def fingerprint(state: dict[str, Any]) -> str:
    """SHA-256 over all that a continuation depends on, the clock left out."""
    progress = {k: v for k, v in state["progress"].items() if k != "wall_s"}
    digest = hashlib.sha256()
    for leaf in _leaves(
        [state["learned"], state["experience"], state["sampler"], state["random"], progress]
    ):
        digest.update(leaf)
    return digest.hexdigest()


def _leaves(node: Any) -> Iterator[bytes]:
    if isinstance(node, torch.Tensor):
        yield f"{node.dtype}{list(node.shape)}".encode() + node.contiguous().numpy().tobytes()
    elif isinstance(node, dict):
        for key in node:
            yield str(key).encode()
            yield from _leaves(node[key])
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _leaves(item)
    else:
        yield repr(node).encode()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Put the number of torch threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_parts(one_thread: None) -> Callable[..., Parts]:
    """Assemble an algorithm with tiny settings; `overrides` as on the command line."""

    def make(algo: str = "maml", *overrides: str) -> Parts:
        chosen = dict(each.split("=", 1) for each in (f"algo={algo}", *TINY, *overrides))
        cfg = compose("train", [f"{key}={value}" for key, value in chosen.items()])
        check(cfg)
        return assemble(cfg)

    return make


@pytest.fixture
def tiny_run(tiny_parts: Callable[..., Parts]) -> Callable[..., TinyRun]:
    """Make a run in a folder, or continue the one that is there."""

    def make(
        folder: Path, algo: str = "maml", *overrides: str, resume: bool = False, **budget: int
    ) -> TinyRun:
        folder.mkdir(exist_ok=True)
        parts = tiny_parts(algo, *overrides)
        record = JsonlLogger(record_path=folder / "metrics.jsonl")
        periods = {"env_steps": 720, "eval_every": 240, "checkpoint_every": 240}
        limits = Budget(**({"keep_checkpoints": 3, "checkpoint_minutes": 1e9} | periods | budget))
        trainer = Trainer(
            algorithm=parts.algorithm,
            sampler=parts.training_sampler(),
            validate=lambda: parts.test("validation", most_episodes=1, probe=False),
            logger=record,
            record_position=record.position,
            store=CheckpointStore(folder / "checkpoints", limits.keep_checkpoints),
            budget=limits,
            identity={"threads": 1},
            score_after=parts.score_after,
        )
        if resume:
            state, _, _ = trainer.store.load_latest()
            trainer.continue_from(state)
            record.truncate(state["record"])
        return TinyRun(folder, parts, record, trainer)

    return make
