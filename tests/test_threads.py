"""How idle threads of torch wait: as the user says, else asleep; on a calm machine not at once."""

from __future__ import annotations

import importlib
import os

import pytest

import metarl_cli

CALM, BUSY = 0.0, 1e6


def settings(
    monkeypatch: pytest.MonkeyPatch, load: float, **given: str
) -> tuple[str | None, str | None]:
    """Return policy and spin count after an import in an environment with `given` variables."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    importlib.reload(metarl_cli)
    return os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")


def test_threads_spin_shortly_on_a_calm_machine_and_not_on_a_busy_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert settings(monkeypatch, CALM) == ("PASSIVE", "10000")
    assert settings(monkeypatch, BUSY) == ("PASSIVE", None)


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, CALM, OMP_WAIT_POLICY="ACTIVE") == ("ACTIVE", None)
    assert settings(monkeypatch, CALM, GOMP_SPINCOUNT="7") == ("PASSIVE", "7")
    assert settings(monkeypatch, BUSY, GOMP_SPINCOUNT="7") == ("PASSIVE", "7")
