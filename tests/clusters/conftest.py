"""Sweeps that end with the test, and runs to compare them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sweeping import Sweep


@pytest.fixture
def sweep_in(tmp_path: Path) -> Iterator[Callable[..., Sweep]]:
    """Make a sweep in a folder of its own; further keywords are environment variables."""
    made: list[Sweep] = []

    def make(name: str, **environment: str) -> Sweep:
        (tmp_path / name).mkdir()
        made.append(Sweep(tmp_path / name, environment))
        return made[-1]

    yield make
    for sweep in made:
        sweep.end()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Runs of seeds 0 and 1 that nobody interrupted, made once."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"), {})
    sweep.run("seed=0,1", "hydra/launcher=basic")
    return sweep
